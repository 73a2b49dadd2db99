"""The variables of run files: what each is, to which decks it applies, and its value at an instant.

`observables.py` has the table of them.
"""
