"""`cached_property` without a lock: that of Python 3.11 holds one for all instances while it computes.

A process that is forked while another thread computes such a property would wait for that lock for ever.  Without it
two threads may compute the same property twice, which changes nothing but the time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as cached_property
else:

    class cached_property:
        """As functools.cached_property."""

        def __init__(self, function: Any) -> None:
            self.function, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            values = instance.__dict__
            if self.name not in values:
                values[self.name] = self.function(instance)
            return values[self.name]
