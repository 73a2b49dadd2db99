"""What this machine has."""

from __future__ import annotations

import math
import os


def memory_of_machine() -> float:
    """Bytes of memory; inf where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # no such function or name
        return math.inf
