"""Forked processes: locks and threads of the parent do not exist in the child."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_every_child(function: Callable[[], None]) -> None:
    """Calls function() in each process that is forked from now on; nothing to do where a system does not fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
