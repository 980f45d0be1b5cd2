"""The verbs, as requests name them. Who calls one that changes a disk holds its lock, but for `claim` and `release`.

Each may be repeated, also after a crash in its middle: the books say `making` before an image is begun and `live` when
it is whole; what is there of a disk that the books do not call whole is removed and begun anew.
"""

from __future__ import annotations

from typing import Any

from .books import Entry
from .cluster import Cluster, Progress, failed, passing
from .images import CONTENT, Images

_NEW = ".new"  # ends the name of an image that is not whole yet, or not yet in its place


class Disks:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._books = cluster, cluster.books
        self._images = Images(cluster)

    # --- locks, and looks at the pool --------------------------------------------------------------

    def lock(self, disk: str, progress: Progress) -> str | None:
        return self._cluster.locks.take(disk)

    def unlock(self, cookie: str, progress: Progress) -> None:
        self._cluster.locks.release(cookie)

    def trouble(self, progress: Progress) -> str | None:
        return self._cluster.trouble()

    def usage(self, progress: Progress) -> dict[str, int]:
        total, free = self._cluster.usage()
        entries = self._books.every().values()
        return {"total": total, "free": free, "promised": sum(e["size"] for e in entries if e["kind"] == "volume")}

    def find(self, disk: str, progress: Progress) -> dict[str, Any] | None:
        entry = self._books.get(disk)
        return self._described(entry) if entry and entry["state"] == "live" else None

    def disks(self, progress: Progress) -> list[dict[str, Any]]:
        there = self._images.ids()
        found = []
        for entry in self._books.every().values():
            if entry["state"] == "live":
                missing = None if entry["image"] in there else "its image"
                found.append(self._described(entry, missing))
                progress(0.0)
        return found

    def _described(self, entry: Entry, missing: str | None = None) -> dict[str, Any]:
        used = 0 if missing or entry["kind"] != "volume" else self._images.used(entry["image"])
        return {
            "name": entry.name,
            "size": entry["size"],
            "used": used,
            "owner": entry["owner"],
            "generation": owners_of(entry).get(entry["owner"], entry["generation"] or 0),
            "missing": missing,
        }

    # --- volumes, snapshots, images ---------------------------------------------------------------

    def create(self, disk: str, size: int, progress: Progress) -> None:
        entry = self._begin(disk, {"kind": "volume", "size": size, "depth": 0})
        if entry["state"] == "making":
            self._images.create(disk, size)
            self._whole(entry, image=self._images.id_of(disk))

    def clone(self, disk: str, source: str, size: int, progress: Progress) -> int:
        """Returns the depth of the new volume."""
        present = self._books.get(disk)
        if not present or present["state"] != "live":
            below = self._source(source)
            if size < below["size"]:
                raise failed(f"A disk of {size} bytes is too small for its source, which has {below['size']}.")
            entry = self._begin(disk, {"kind": "volume", "size": size, "depth": below["depth"] + 1})
            if entry["state"] == "making":
                self._images.clone(disk, below["image"], _snap(below), size if size > below["size"] else None)
                self._whole(entry, image=self._images.id_of(disk))
        depth: int = self._books.get(disk)["depth"] or 0
        return depth

    def _begin(self, disk: str, values: dict[str, Any]) -> Entry:
        """The entry of a disk that is to be there; nothing of it is, if it is `making`."""
        entry = self._books.get(disk)
        if not entry:
            if not self._books.swap((entry, {**values, "state": "making"})):
                raise passing("The disk is busy with another operation.")
            return self._books.get(disk)
        if entry["state"] == "removing":
            raise passing("The disk is being removed.")
        if entry["state"] == "making":
            self._images.scrap(disk)
        return entry

    def _whole(self, entry: Entry, **values: Any) -> None:
        if not self._books.swap((entry, entry.but(state="live", **values))):
            now = self._books.get(entry.name)
            if not now or now["state"] != "live":
                raise passing("The disk is busy with another operation.")

    def _source(self, name: str) -> Entry:
        entry = self._books.get(name)
        if not entry or entry["kind"] == "volume" or entry["state"] != "live":
            raise failed(f"The pool has no snapshot or image {name}.")
        return entry

    def snapshot(self, disk: str, snapshot: str, progress: Progress) -> None:
        volume, kept = self._volume(disk), self._books.get(snapshot)
        if kept and kept["state"] == "live":
            return
        if kept and kept["image"] != volume["image"]:
            self._forget_snapshot(kept)  # begun before the volume was reverted
            kept = self._books.get(snapshot)
        values = {"kind": "snapshot", "of": disk, "image": volume["image"], "size": volume["size"], "state": "making"}
        if not kept:
            if not self._books.swap((kept, {**values, "depth": volume["depth"] or 0})):
                raise passing("The disk is busy with another operation.")
            kept = self._books.get(snapshot)
        self._whole(kept, size=self._images.snapshot(volume["image"], snapshot))

    def revert(self, disk: str, snapshot: str, progress: Progress) -> int:
        """A clone of the snapshot takes the volume's place: it costs the same at any size. Returns its depth."""
        volume, below = self._volume(disk), self._source(snapshot)
        self._refuse_owned(volume)
        if volume["size"] < below["size"]:
            raise failed(
                f"The volume of {volume['size']} bytes is too small for the snapshot, which has {below['size']}."
            )
        self._shut(volume)
        new, depth = disk + _NEW, below["depth"] + 1
        self._images.scrap(new)
        self._images.clone(
            new, below["image"], _snap(below), volume["size"] if volume["size"] > below["size"] else None
        )
        if not self._books.swap((volume, volume.but(next=self._images.id_of(new), next_depth=depth))):
            raise passing("The disk is busy with another operation.")
        self._volume(disk)
        return int(depth)

    def _volume(self, disk: str) -> Entry:
        """A volume that is whole; a revert that was interrupted is brought to its end."""
        volume = self._books.get(disk)
        if not volume or volume["kind"] != "volume" or volume["state"] != "live":
            raise failed(f"The pool has no volume {disk}.")
        if volume["next"] is None:
            return volume
        old, following = volume["image"], volume["next"]
        if self._images.name_of(old) == disk:
            self._images.rename(disk, f"{disk}.{old}")
        if self._images.name_of(following) != disk:
            self._images.rename(disk + _NEW, disk)
        self._books.swap((volume, volume.but(image=following, next=None, depth=volume["next_depth"], next_depth=None)))
        self._images.dispose(old)
        return self._volume(disk)

    def check_growth(self, disk: str, size: int, progress: Progress) -> None:
        """Whether `extend` would be refused."""
        self._growing(disk, size)

    def _growing(self, disk: str, size: int) -> Entry:
        volume = self._volume(disk)
        if size < volume["size"]:
            raise failed(f"A disk of {volume['size']} bytes cannot shrink to {size}.")
        return volume

    def extend(self, disk: str, size: int, live: bool, progress: Progress) -> None:
        """`live`: a QEMU that has it open has grown it."""
        volume = self._growing(disk, size)
        if not live:
            self._images.grow(volume["image"], size)
        if size != volume["size"]:
            self._whole(volume, size=size)

    def delete(self, disk: str, progress: Progress) -> None:
        entry = self._books.get(disk)
        if not entry:
            self._images.scrap(disk + _NEW)
            self._images.scrap(disk)  # taken in, but not written down
            return
        if entry["kind"] == "snapshot":
            self._forget_snapshot(entry)
            return
        if entry["state"] == "live":
            if entry["kind"] == "volume":
                entry = self._volume(disk)
                self._refuse_owned(entry)
            self._shut(entry)
        if not self._books.swap((entry, entry.but(state="removing"))):
            raise passing("The disk is busy with another operation.")
        entry = self._books.get(disk)
        self._images.scrap(disk + _NEW)
        if entry["image"] is None:
            self._images.scrap(disk)
        else:
            if entry["kind"] == "image":
                self._images.remove_snapshot(entry["image"], CONTENT)
            self._images.dispose(entry["image"], progress)
        self._books.swap((entry, None))

    def _forget_snapshot(self, entry: Entry) -> None:
        self._images.remove_snapshot(entry["image"], entry.name)
        self._books.swap((entry, None))
        volume = self._books.get(entry["of"])
        if entry["image"] not in ((volume["image"], volume["next"]) if volume else ()):
            self._images.dispose(entry["image"])

    def rename(self, disk: str, name: str, progress: Progress) -> None:
        entry, other = self._books.get(disk), self._books.get(name)
        if not entry:
            if other:
                return
            self._take_in(disk, name)
            return
        if other:
            raise failed(f"The pool has a disk {name} already.")
        if entry["state"] != "live":
            raise passing("The disk is being made.")
        if entry["kind"] == "volume":
            entry = self._volume(disk)
            self._refuse_owned(entry)
            self._shut(entry)
        followers = []
        if entry["kind"] == "snapshot":
            self._images.rename_snapshot(entry["image"], disk, name)
        else:
            if self._images.name_of(entry["image"]) != name:
                self._images.rename(disk, name)
            followers = [e for e in self._books.every().values() if e["of"] == disk]
        moved = entry.but(generation=0, card=False, gone={}) if entry["kind"] == "volume" else entry.values
        changes = [(entry, None), (other, moved), *((e, e.but(of=name)) for e in followers)]
        if not self._books.swap(*changes):
            raise passing("The disk is busy with another operation.")

    def _take_in(self, disk: str, name: str) -> None:
        """An image of the operator's own becomes the volume `name`."""
        found = self._images.strange(disk) or self._images.strange(name)
        if found is None:
            raise failed(f"The pool has no disk {disk}.")
        if found["reason"] is not None:
            raise failed(found["reason"])
        if found["name"] == disk:
            self._images.rename(disk, name)
        values = {"kind": "volume", "size": found["size"], "depth": found["depth"], "image": found["id"]}
        if not self._books.swap((self._books.get(name), {**values, "state": "live"})):
            raise passing("The disk is busy with another operation.")

    def adoptable(self, ours: str, progress: Progress) -> list[dict[str, Any]]:
        entries = self._books.every()
        found = [
            {"name": e.name, "size": e["size"], "snapshot_of": e["of"], "reason": None}
            for e in entries.values()
            if not e.name.startswith(ours) and e["state"] == "live"
        ]
        known = {e["image"] for e in entries.values()}
        for image_id, name in self._images.ids().items():
            if image_id not in known and name is not None and not name.startswith(ours):
                one = self._images.strange(name)
                if one is not None:
                    found.append({key: one[key] for key in ("name", "size", "reason")} | {"snapshot_of": None})
        return found

    def kind(self, disk: str, progress: Progress) -> str | None:
        entry = self._books.get(disk)
        kind: str | None = entry["kind"] if entry else None
        return kind

    def lock_of(self, disk: str, progress: Progress) -> str:
        """The disk whose lock is held to delete or rename this one: for a snapshot, its volume's."""
        entry = self._books.get(disk)
        return str(entry["of"]) if entry and entry["of"] else disk

    # --- what is copied in and out ----------------------------------------------------------------

    def begin(self, disk: str, size: int, kind: str, progress: Progress) -> str | None:
        """The name of an empty image to be filled; None if the disk is there. It becomes the disk by `finish`."""
        entry = self._books.get(disk)
        if entry and entry["state"] == "live":
            return None
        new = disk + _NEW
        if not entry:
            self._images.scrap(new)
            self._images.scrap(disk)
        elif entry["state"] != "making":
            raise passing("The disk is being removed.")
        self._images.create(new, size)
        return new

    def finish(self, disk: str, size: int, kind: str, progress: Progress) -> None:
        new = disk + _NEW
        image_id = self._images.id_of(new)
        self._images.grow(image_id, size)
        if kind == "image":
            self._images.snapshot(image_id, CONTENT)
        self._images.rename(new, disk)
        values = {"kind": kind, "size": size, "depth": 0, "image": image_id, "state": "live"}
        if not self._books.swap((self._books.get(disk), values)):
            raise passing("The disk is busy with another operation.")

    def abandon(self, disk: str, progress: Progress) -> None:
        """What `begin` made is not to be finished."""
        self._images.scrap(disk + _NEW)

    def readable(self, disk: str, progress: Progress) -> dict[str, Any]:
        """Where the content of a disk is read: the image's name, and its snapshot (None: a volume at rest)."""
        entry = self._books.get(disk)
        if not entry or entry["state"] != "live":
            raise failed(f"The pool has no disk {disk}.")
        if entry["kind"] == "volume":
            entry = self._volume(disk)
            self._shut(entry)
        name = self._images.name_of(entry["image"])
        if name is None:
            raise failed("The disk is damaged: its image is missing.")
        return {"image": name, "snapshot": None if entry["kind"] == "volume" else _snap(entry)}

    def writable(self, disk: str, progress: Progress) -> dict[str, Any]:
        """The name of the image that a QEMU opens, and whether several may."""
        volume = self._volume(disk)
        if self._images.name_of(volume["image"]) != disk:
            raise failed("The disk is damaged: its image is missing.")
        return {"image": disk, "shared": bool(volume["shared"])}

    # --- owners -----------------------------------------------------------------------------------

    def claim(self, disk: str, owner: str, generation: int, card: bool, shared: bool, progress: Progress) -> None:
        while True:
            volume = self._books.get(disk)
            if not volume or volume["kind"] != "volume" or volume["state"] != "live":
                raise failed(f"The pool has no volume {disk}.")
            owners = owners_of(volume)
            if owners.get(owner) == generation and (volume["card"] or not card):
                return
            if set(owners) - {owner} and not (shared and volume["shared"]):
                raise failed(f"The volume's disk belongs to server {volume['owner']}.")
            if generation < self._last_seen(volume, owner):
                raise failed("The volume was attached anew since.")
            if not owners:
                self._shut(volume)  # RBD itself would let an old QEMU write beside the new one
                if shared != bool(volume["shared"]):
                    self._images.share(volume["image"], shared)
            if self._books.swap((volume, _owned(volume, owners | {owner: generation}, card=card, shared=shared))):
                return

    def _last_seen(self, volume: Entry, owner: str) -> int:
        """Of servers that share a disk, each has its own row of generations while another has the disk."""
        if volume["shared"] and owners_of(volume):
            found = owners_of(volume).get(owner) or (volume["gone"] or {}).get(owner, -1) + 1
        else:
            found = volume["generation"] or 0
        return int(found)

    def unbind(self, disk: str, owner: str, generation: int, progress: Progress) -> None:
        volume = self._books.get(disk)
        if volume and owners_of(volume).get(owner) == generation and volume["card"]:
            self._require_closed(volume)

    def release(self, disk: str, owner: str, generation: int, progress: Progress) -> None:
        while True:
            volume = self._books.get(disk)
            owners = owners_of(volume) if volume else {}
            if owner not in owners or owners[owner] > generation:
                return
            if volume["card"] and len(owners) == 1:
                self._require_closed(volume)
            left = {name: number for name, number in owners.items() if name != owner}
            gone = {**(volume["gone"] or {}), owner: generation} if left else {}
            if self._books.swap((volume, {**_owned(volume, left, last=generation), "gone": gone})):
                return

    def _refuse_owned(self, volume: Entry) -> None:
        if volume["owner"] is not None:
            raise failed(f"The volume's disk belongs to server {volume['owner']}.")

    def _require_closed(self, entry: Entry) -> None:
        if self._images.watchers(entry["image"]):
            raise passing("The volume's disk is open in a QEMU.")

    def _shut(self, entry: Entry) -> None:
        """Nobody has it open for writing when this returns. Who had it as the last owner let go of it, so that what it
        still has open is cut off; of others we do not know (`Passing`)."""
        if entry["owner"] is None and entry["generation"]:
            self._images.fence(entry["image"])
        else:
            self._require_closed(entry)

    # --- later ------------------------------------------------------------------------------------

    def deep(self, deepest: int, progress: Progress) -> list[str]:
        """Volumes whose chains of clones are longer than they should be."""
        entries = self._books.every().values()
        return [e.name for e in entries if e["kind"] == "volume" and e["state"] == "live" and e["depth"] > deepest]

    def flatten(self, disk: str, progress: Progress) -> None:
        volume = self._books.get(disk)
        if not volume or volume["state"] != "live" or not volume["depth"]:
            return
        self._images.flatten(volume["image"], progress)
        while volume and volume["state"] == "live":
            if self._books.swap((volume, volume.but(depth=0))):
                return
            volume = self._books.get(disk)

    def leftovers(self, ours: str, progress: Progress) -> list[str]:
        """Disks that crashes left half done: `settle` ends each, under its lock."""
        entries = self._books.every()
        known = {e["image"] for e in entries.values()} | {e["next"] for e in entries.values()}
        half = {e.name for e in entries.values() if e["state"] != "live" and e["state"] != "making"}
        half |= {e.name for e in entries.values() if e["next"] is not None}
        for image_id, name in self._images.ids().items():
            if name is not None and name.startswith(ours) and image_id not in known:
                half.add(name.partition(".")[0])
        return sorted(half)

    def settle(self, disk: str, progress: Progress) -> list[str]:
        entry = self._books.get(disk)
        if entry and entry["state"] == "removing":
            self.delete(disk, progress)
            return [f"removed disk {disk}"]
        if entry and entry["kind"] == "volume" and entry["state"] == "live":
            self._volume(disk)
        if entry and entry["state"] == "making":
            return []
        entries = self._books.every()
        known = {e["image"] for e in entries.values()} | {e["next"] for e in entries.values()}
        done = []
        for image_id, name in self._images.ids().items():
            if name is not None and name.partition(".")[0] == disk and image_id not in known:
                self._images.drop_strange_snapshots(image_id)
                self._images.dispose(image_id)
                done.append(f"removed image {name}")
        return done

    def empty_trash(self, ours: str, progress: Progress) -> list[str]:
        return [f"removed image {name} from the trash" for name in self._images.empty_trash(ours)]


def _snap(entry: Entry) -> str:
    """The RBD snapshot that clones of a snapshot or an image are made of."""
    return CONTENT if entry["kind"] == "image" else entry.name


def owners_of(volume: Entry) -> dict[str, int]:
    """Who may open it, with the generation of its attachment each."""
    if volume["shared"]:
        return dict(volume["owners"] or {})
    return {} if volume["owner"] is None else {volume["owner"]: volume["generation"]}


def _owned(
    volume: Entry, owners: dict[str, int], *, card: bool = False, shared: bool | None = None, last: int = 0
) -> dict[str, Any]:
    """The entry with other owners; `owner` is one of them, `generation` the last that was seen."""
    return volume.but(
        owner=next(iter(owners), None),
        owners=owners,
        generation=max(volume["generation"] or 0, last, *owners.values()),
        card=card or volume["card"],
        shared=volume["shared"] if shared is None else shared,
    )
