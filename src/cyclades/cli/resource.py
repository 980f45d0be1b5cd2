"""A kind of thing as commands show it: one definition for lists, shows and programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyclades.cli.output import Fields
from cyclades.config import Settings
from cyclades.store.database import Tx

Where = Sequence[sa.ColumnElement[bool]]


@dataclass(frozen=True)
class Resource:
    """`columns` are what the table of a list has; `more` are the other fields, which a show has, and what is for
    programs. `key` is the column, and `field` the field, that tells one from another. `read` finds all for which the
    conditions hold, deleted ones too, in the order in which a list has them."""

    columns: tuple[str, ...]
    more: tuple[str, ...]
    key: sa.ColumnElement[Any]
    read: Callable[[Tx, Settings, Where], list[Fields]]
    field: str = "id"

    @property
    def fields(self) -> tuple[str, ...]:
        return self.columns + self.more

    def of(self, tx: Tx, settings: Settings, keys: Sequence[str]) -> list[Fields]:
        """Those of these keys that there are, in this order."""
        place = {key: number for number, key in enumerate(keys)}
        found = [item for item in self.read(tx, settings, [self.key.in_(keys)]) if item[self.field] in place]
        return sorted(found, key=lambda item: place[item[self.field]])
