"""Numbers of other programs and of the literature, typed in with their source: none was made by this code."""
