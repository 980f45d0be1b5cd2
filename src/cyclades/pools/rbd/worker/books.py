"""What the pool knows of its disks: one RADOS object with a key for each disk, changed by compare-and-swap.

In one object, a list of all disks is one read, and a disk changes its name in one step. It lies beside the images and
not in their metadata, since those can be changed only through a client that has the image open, which may be the very
QEMU that died.

An entry of a disk `name`:
- `kind`: `volume`, `snapshot` or `image`; `size` in bytes; `depth`: how many images lie below its own;
- `image`: the id of the RBD image that it is (of a snapshot: that has it);
- `state`: `making` until the image is whole; `removing` from when it is to go;
- volumes: `owner`, `generation`, `card`, `shared` (as `Pool.claim` has them); if it is shared, `owners` with the
  generation of each, and `gone`, those of owners that left while others stayed; `next`: the id of the image that takes
  the place of `image` (a revert is under way);
- snapshots: `of`, the volume.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import rados

_OBJECT = "cyclades.books"
_FORM = "0"  # sorts before all names of disks; there from the beginning, since only then can keys be compared
_PAGE = 1000


@dataclass(frozen=True)
class Entry:
    """An entry as it was read: `text` is what it is compared with when it is to change; empty: there is none."""

    name: str
    text: str

    def __bool__(self) -> bool:
        return self.text != ""

    @cached_property
    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found

    def __getitem__(self, key: str) -> Any:
        return self.values.get(key)

    def but(self, **changes: Any) -> dict[str, Any]:
        return {**(self.values if self else {}), **changes}


class Books:
    def __init__(self, io: Any) -> None:
        self._io = io
        with rados.WriteOpCtx() as op:
            io.set_omap(op, (_FORM,), (b"1",))
            io.operate_write_op(op, _OBJECT)

    def get(self, name: str) -> Entry:
        with rados.ReadOpCtx() as op:
            found, _ = self._io.get_omap_vals_by_keys(op, (name,))
            self._io.operate_read_op(op, _OBJECT)
            texts = dict(found)
        return Entry(name, texts[name].decode() if name in texts else "")

    def every(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        last = _FORM
        while True:
            with rados.ReadOpCtx() as op:
                found, _ = self._io.get_omap_vals(op, last, "", _PAGE)
                self._io.operate_read_op(op, _OBJECT)
                page = list(found)
            entries |= {name: Entry(name, text.decode()) for name, text in page}
            if len(page) < _PAGE:
                return entries
            last = page[-1][0]

    def swap(self, *changes: tuple[Entry, dict[str, Any] | None]) -> bool:
        """Change entries (None: take them out), all or, if one is no longer as it was read, none: then False."""
        with rados.WriteOpCtx() as op:
            for entry, _ in changes:
                op.omap_cmp(entry.name, entry.text)
            kept = {entry.name: json.dumps(values).encode() for entry, values in changes if values is not None}
            if kept:
                self._io.set_omap(op, tuple(kept), tuple(kept.values()))
            gone = tuple(entry.name for entry, values in changes if values is None)
            if gone:
                self._io.remove_omap_keys(op, gone)
            try:
                self._io.operate_write_op(op, _OBJECT)
            except rados.Error as error:
                if abs(error.errno or 0) == errno.ECANCELED:
                    return False
                raise
        return True
