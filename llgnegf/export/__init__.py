"""A run for other programs: OVF for OOMMF, mumax3 and discretisedfield, VTK for ParaView, CSV for anything."""

from __future__ import annotations

from llgnegf.export.export import FORMATS, export

__all__ = ["FORMATS", "export"]
