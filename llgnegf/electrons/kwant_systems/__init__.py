"""Kwant systems (Groth et al., New J. Phys. 16, 063065 (2014)) read as devices, and devices written as such."""
