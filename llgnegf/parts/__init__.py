"""The single parts of a run, each made from its deck: `build.py` puts them together."""
