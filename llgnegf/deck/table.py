"""The base of all tables of a deck, and how a key that holds one of several kinds of table is told by its `kind`."""

from __future__ import annotations

from types import NoneType
from typing import get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Table(BaseModel):
    """Base of every table: no unknown keys, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def kinds_of(key: FieldInfo) -> dict[str, type[BaseModel]]:
    """By `kind`: the tables that a key may hold; empty where no kind decides."""
    if not key.discriminator:
        return {}
    tables = (one for one in get_args(key.annotation) if one is not NoneType)
    return {get_args(table.model_fields["kind"].annotation)[0]: table for table in tables}
