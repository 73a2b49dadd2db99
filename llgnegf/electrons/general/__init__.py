"""Devices of any shape between two leads of any kind, as far as slices coupled to the next ones describe them."""
