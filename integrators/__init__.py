"""One-step methods for dy/dt = f(t, y): pure functions of (rhs, t, y, dt), and the registry that names them."""

from .registry import METHODS, Method, RightHandSide, Step, get, stable_product

__all__ = ["METHODS", "Method", "RightHandSide", "Step", "get", "stable_product"]
