"""RBD images, by their ids: an image keeps its id when it gets another name and when it goes to the trash."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import rados
import rbd

from .cluster import Cluster, Progress

CONTENT = "content"  # the snapshot of an image that its clones are made of
# What Ceph's own default is: layering, exclusive-lock, object-map, fast-diff, deep-flatten. With the lock, a snapshot
# that is taken here of an image that a QEMU writes is of one moment; with deep-flatten, it forgets the parent as well.
_FEATURES = 61
# In the order in which they can be taken away.
_OF_ONE_WRITER = (rbd.RBD_FEATURE_FAST_DIFF, rbd.RBD_FEATURE_OBJECT_MAP, rbd.RBD_FEATURE_EXCLUSIVE_LOCK)
_SNAPSHOT_OF_USER = rbd.RBD_SNAP_NAMESPACE_TYPE_USER


def _nothing(fraction: float) -> None:
    pass


def _steps(progress: Progress) -> Callable[[int, int], int]:
    """As RBD tells of its progress."""

    def step(done: int, total: int) -> int:
        progress(done / total if total else 1.0)
        return 0

    return step


class Images:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._io, self._rbd = cluster, cluster.io, cluster.rbd

    # --- names and ids ----------------------------------------------------------------------------

    def id_of(self, name: str) -> str:
        """RBD keeps it in an object of its own; opening the image to ask takes ten times as long."""
        try:
            body = self._io.read(f"rbd_id.{name}")
        except rados.ObjectNotFound:
            raise rbd.ImageNotFound(f"no image {name}") from None
        return str(body[4 : 4 + struct.unpack_from("<I", body)[0]].decode())

    def name_of(self, image_id: str) -> str | None:
        """None if there is no such image, or it is in the trash."""
        key = f"id_{image_id}"
        with rados.ReadOpCtx() as op:
            found, _ = self._io.get_omap_vals_by_keys(op, (key,))
            try:
                self._io.operate_read_op(op, "rbd_directory")
            except rados.ObjectNotFound:
                return None
            values = dict(found)
        return values[key][4:].decode() if key in values else None

    def ids(self) -> dict[str, str | None]:
        """The names of all images; None for those in the trash."""
        found: dict[str, str | None] = {image["id"]: image["name"] for image in self._rbd.list2(self._io)}
        return {image["id"]: None for image in self._rbd.trash_list(self._io)} | found

    @contextmanager
    def _open(self, image_id: str, *, read_only: bool = False) -> Iterator[Any]:
        with rbd.Image(self._io, image_id=image_id, read_only=read_only) as image:
            yield image

    # --- making -----------------------------------------------------------------------------------

    def create(self, name: str, size: int) -> None:
        self._rbd.create(self._io, name, size, old_format=False, features=_FEATURES)

    def clone(self, name: str, parent: str, snapshot: str, size: int | None) -> None:
        """`size`: bytes, if it is to be larger than its parent."""
        parent_name = self.name_of(parent)
        if parent_name is None:
            raise rbd.ImageNotFound(f"no image {parent}")
        self._rbd.clone(self._io, parent_name, snapshot, self._io, name, features=_FEATURES)
        if size is not None:
            self.grow(self.id_of(name), size)

    def grow(self, image_id: str, size: int) -> None:
        with self._open(image_id) as image:
            if image.size() < size:
                image.resize(size)

    def snapshot(self, image_id: str, name: str) -> int:
        """Returns the size of the image then, in bytes."""
        with self._open(image_id) as image:
            with suppress(rbd.ImageExists):
                image.create_snap(name)
            return next(int(snap["size"]) for snap in image.list_snaps() if snap["name"] == name)

    def rename(self, name: str, new: str) -> None:
        self._rbd.rename(self._io, name, new)

    def rename_snapshot(self, image_id: str, name: str, new: str) -> None:
        with self._open(image_id) as image, suppress(rbd.ImageNotFound):  # a try before this one did it
            image.rename_snap(name, new)

    def flatten(self, image_id: str, progress: Progress) -> None:
        parent = self._parent(image_id)
        if parent is None:
            return
        with self._open(image_id) as image:
            image.flatten(on_progress=_steps(progress))
        self._free(parent)

    # --- looking ----------------------------------------------------------------------------------

    def used(self, image_id: str) -> int:
        """Bytes that are its own and its snapshots', by whole objects."""
        found = 0

        def count(offset: int, length: int, exists: bool) -> None:
            nonlocal found
            found += length if exists else 0

        try:
            with self._open(image_id, read_only=True) as image:
                image.diff_iterate(0, image.size(), None, count, include_parent=False, whole_object=True)
        except rbd.ImageNotFound:
            return 0
        return found

    def watchers(self, image_id: str) -> list[str]:
        """Addresses of the clients that have it open for writing, but for this one."""
        try:
            with self._open(image_id, read_only=True) as image:
                found = [watcher["addr"] for watcher in image.watchers_list()]
        except rbd.ImageNotFound:
            return []
        return [address for address in found if address not in self._cluster.addresses]

    def share(self, image_id: str, shared: bool) -> None:
        """Let several clients write to it, each at once; or one again."""
        with self._open(image_id) as image:
            for feature in _OF_ONE_WRITER if shared else reversed(_OF_ONE_WRITER):
                if bool(image.features() & feature) == shared:
                    image.update_features(feature, not shared)
        if not shared:
            with self._open(image_id) as image:
                image.rebuild_object_map()

    def fence(self, image_id: str) -> None:
        """Nobody who has it open now can write to it any more, but for engines, which know what they do."""
        watchers = self.watchers(image_id)
        if watchers:
            engines = self._cluster.engines()
            for address in watchers:
                if address not in engines:
                    self._cluster.fence(address)

    def strange(self, name: str) -> dict[str, Any] | None:
        """An image that is not ours, as what could be adopted; None if there is none."""
        try:
            with rbd.Image(self._io, name, read_only=True) as image:
                snapshots = list(image.list_snaps())
                found = {
                    "name": name,
                    "id": image.id(),
                    "size": image.size(),
                    "depth": 1 if self._parent(image.id()) else 0,
                }
        except rbd.ImageNotFound:
            return None
        reason = "It has snapshots of its own; remove them first." if snapshots else None
        if reason is None and self.watchers(str(found["id"])):
            reason = "It is in use by another program."
        return {**found, "reason": reason}

    # --- taking away ------------------------------------------------------------------------------

    def remove_snapshot(self, image_id: str, name: str) -> None:
        """If it has clones, RBD keeps what they need until the last of them goes."""
        with suppress(rbd.ImageNotFound), self._open(image_id) as image:
            image.remove_snap(name)

    def scrap(self, name: str) -> None:
        """Remove an image that never was whole; who still writes to it is stopped."""
        try:
            image_id = self.id_of(name)
        except rbd.ImageNotFound:
            return
        self.fence(image_id)
        self.drop_strange_snapshots(image_id)
        if self.name_of(image_id) != name:
            self._remove(name)  # what a crash left of making it
        else:
            self.dispose(image_id)

    def drop_strange_snapshots(self, image_id: str) -> None:
        with suppress(rbd.ImageNotFound), self._open(image_id) as image:
            for snap in list(image.list_snaps()):
                if image.snap_get_namespace_type(snap["id"]) == _SNAPSHOT_OF_USER:
                    image.remove_snap(snap["name"])

    def dispose(self, image_id: str, progress: Progress = _nothing) -> None:
        """Remove an image that no volume is any more. One with snapshots stays until they go, one with clones goes to
        the trash until they go."""
        name = self.name_of(image_id)
        if name is None:
            self._free(image_id)
            return
        try:
            with self._open(image_id, read_only=True) as image:
                kinds = {image.snap_get_namespace_type(snap["id"]) for snap in image.list_snaps()}
        except rbd.ImageNotFound:
            kinds = set()  # half made
        if _SNAPSHOT_OF_USER in kinds:
            if not name.endswith(f".{image_id}"):
                self.rename(name, f"{name.partition('.')[0]}.{image_id}")
        elif kinds:
            self._rbd.trash_move(self._io, name, 0)
        else:
            parent = self._parent(image_id)
            self._remove(name, progress)
            if parent is not None:
                self._free(parent)

    def _remove(self, name: str, progress: Progress = _nothing) -> None:
        with suppress(rbd.ImageNotFound):
            self._rbd.remove(self._io, name, on_progress=_steps(progress))

    def _free(self, image_id: str) -> None:
        """Remove an image from the trash, if it is there and nothing stands on it, and then what it stood on."""
        try:
            self._rbd.trash_get(self._io, image_id)
            parent = self._parent(image_id)
            self._rbd.trash_remove(self._io, image_id, True)
        except (rbd.ImageNotFound, rbd.ImageHasSnapshots):
            return
        if parent is not None:
            self._free(parent)

    def _parent(self, image_id: str) -> str | None:
        try:
            with self._open(image_id, read_only=True) as image:
                return str(image.parent_id())
        except rbd.ImageNotFound:
            return None

    def empty_trash(self, ours: str) -> list[str]:
        """Remove from the trash what nothing stands on. Returns the names."""
        gone = []
        for found in list(self._rbd.trash_list(self._io)):
            if found["name"].startswith(ours):
                with suppress(rbd.ImageNotFound, rbd.ImageHasSnapshots):
                    parent = self._parent(found["id"])
                    self._rbd.trash_remove(self._io, found["id"], True)
                    gone.append(found["name"])
                    if parent is not None:
                        self._free(parent)
        return gone
