"""The verbs of the Ganeti backend.

Each looks at the instance first and asks Ganeti only for what is missing; a job that an earlier try of the same step
has sent is waited for before. Whatever a job says, the instance is looked at again: what it shows is what counts. Jobs
of one instance wait for each other in Ganeti, so there are no locks here.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from typing import Any

from sqlalchemy import Row

from cyclades.backends.base import Capacity, News, Plug, SeenDisk, SeenServer, ServerSpec, Trail
from cyclades.backends.ganeti import create, detached, disks, instances, nodes, version
from cyclades.backends.ganeti.book import Book, Rows
from cyclades.backends.ganeti.instances import Disk, Instance, Names
from cyclades.backends.ganeti.jobs import Ask, Job, Jobs
from cyclades.backends.ganeti.live import GanetiLiveDisk
from cyclades.backends.ganeti.options import Access, GanetiOptions
from cyclades.backends.ganeti.outcome import hotplugged, require_success, warnings
from cyclades.backends.ganeti.rapi import Rapi
from cyclades.backends.ganeti.together import Together
from cyclades.backends.ganeti.watch import Watch
from cyclades.model.capabilities import EXT, kept_by_cluster
from cyclades.model.errors import Away, Failed, Passing
from cyclades.model.names import volume_disk
from cyclades.model.servers import MAX_DISKS
from cyclades.pools.base import Pool
from cyclades.store.database import Database

_INFO = "/2/info"
_HELD = (
    "The guest did not let go of the volume, as one does not that is still starting up. Stop the server, or reboot it "
    "hard: then the volume is free."
)


class GanetiBackend:
    """The cluster that `access` leads to, as the backend `name`. `reboot_patience` is how many seconds a guest has to
    power off where it is to reboot by itself."""

    kind = "ganeti"
    max_disks = MAX_DISKS
    cards = True
    read_only_disks = False
    keeps_console = False

    def __init__(
        self, name: str, access: Access, options: GanetiOptions, database: Database, *, reboot_patience: float = 60.0
    ) -> None:
        self.name, self.options = name, options
        self._rapi = Rapi(name, access)
        self._names = Names(options.domain)
        self._jobs = Jobs(self._rapi)
        self._found = Together[str, Instance](lambda ids: instances.some(self._rapi, self._names, ids))
        self._cluster = Together[str, dict[str, Any]](self._read_info)
        self._book = Book(database, name)
        self._reboot_patience = reboot_patience
        self._watch = Watch(name, lambda: instances.every(self._rapi, self._names), self._book, options.look_seconds)

    # --- servers ----------------------------------------------------------------------------------

    async def open(self) -> None:
        self._watch.open()

    async def close(self) -> None:
        await self._watch.close()
        await self._jobs.close()
        await self._rapi.close()

    def news(self) -> AsyncIterator[News]:
        return self._watch.news()

    async def start(self, spec: ServerSpec, *, trail: Trail | None = None) -> None:
        await self._jobs.earlier("start", trail)
        seen = await self._have(spec, trail)
        rows = await self._book.of_server(spec.server_id)
        found = [(_disk(seen, rows, plug.volume_id), plug) for plug in spec.plugs]
        await self._book.saw(spec.server_id, [(disk, plug) for disk, plug in found if disk is not None])
        if seen.runs and seen.wanted_up:
            return
        if not seen.runs:
            for disk, plug in found:
                if disk is None:
                    await self.plug(spec.server_id, plug, trail=trail)
            await self._resize(seen, spec, trail)
            await self._let_go(spec.server_id)
        job = await self._jobs.run("start", self._ask("PUT", seen, "/startup"), trail)
        if not (await self._there(spec.server_id)).runs:
            require_success(job, "start the server")
            raise Passing("The server went off as soon as it was started.")

    async def _have(self, spec: ServerSpec, trail: Trail | None) -> Instance:
        """The server's instance, made if it is not there."""
        earlier = await self._jobs.earlier("create", trail)
        seen = await self._find(spec.server_id)
        if seen is not None:
            return await self._filled(seen, spec, earlier, trail)
        if earlier is not None or await self._book.of_server(spec.server_id):
            await self._unbind(spec.server_id, spec.plugs)  # a job has failed, or somebody has removed the instance
        info = await self._info(spec.plugs)
        name, template = self._names.of(spec.server_id), create.template_of(spec)
        place = await nodes.place(self._rapi, self.options, template=template, memory=spec.memory)
        ask = create.server(self.name, name, spec, self.options, version.of(info, self.options.hypervisor), place)
        job = await self._jobs.run("create", ask, trail)
        seen = await self._find(spec.server_id)
        if seen is None:
            require_success(job, "make the server")
            raise Passing("The server was made, and is not there.")
        return await self._filled(seen, spec, job, trail)

    async def _filled(self, seen: Instance, spec: ServerSpec, made: Job | None, trail: Trail | None) -> Instance:
        """One whose root disk could not be filled stays in Ganeti, and is of no use."""
        if spec.fill is not None and made is not None and made.status in ("error", "canceled") and not seen.runs:
            await self.delete(spec.server_id, trail=trail)
            require_success(made, "write the image to the server's disk")
        return seen

    async def _resize(self, seen: Instance, spec: ServerSpec, trail: Trail | None) -> None:
        if (seen.memory, seen.vcpus) != (spec.memory, spec.vcpus):
            ask = self._ask("PUT", seen, "/modify", beparams=create.memory_of(spec))
            require_success(await self._jobs.run("resize", ask, trail), "give the server its memory")

    async def stop(self, server_id: str, *, patience: float, trail: Trail | None = None) -> None:
        await self._jobs.earlier("stop", trail)
        seen = await self._find(server_id)
        if seen is None:
            return
        if seen.runs or seen.wanted_up:
            ask = self._ask("PUT", seen, "/shutdown", timeout=math.ceil(patience))
            job = await self._jobs.run("stop", ask, trail)
            seen = await self._find(server_id)
            if seen is not None and (seen.runs or seen.wanted_up):
                require_success(job, "stop the server")
                raise Passing("The server was stopped, and still runs.")
        await self._let_go(server_id)

    async def reboot(self, spec: ServerSpec, *, hard: bool, trail: Trail | None = None) -> None:
        done = await self._jobs.earlier("reboot" if hard else "start", trail)
        rows = await self._book.of_server(spec.server_id)
        seen = await self._find(spec.server_id)
        if seen is None or not seen.runs:
            await self.start(spec, trail=trail)
        elif done is not None and done.status == "success":
            pass
        elif hard:
            await self._reset(seen, trail)
            await self._book.left(row for row in rows.values() if row.held)
        else:
            await self.stop(spec.server_id, patience=self._reboot_patience, trail=trail)
            await self.start(spec, trail=trail)

    async def _reset(self, seen: Instance, trail: Trail | None) -> None:
        # `full`: what leads to the disks is made anew, too.
        ask = self._ask("POST", seen, "/reboot", shutdown_timeout=0, query={"type": "full"})
        job = await self._jobs.run("reboot", ask, trail)
        require_success(job, "reboot the server")

    async def delete(self, server_id: str, *, trail: Trail | None = None) -> None:
        await self._jobs.earlier("delete", trail)
        if await self._find(server_id) is None:
            await self._jobs.settle(self._names.of(server_id))  # it may just be being made
        await self.stop(server_id, patience=0, trail=trail)
        rows = await self._book.of_server(server_id)
        seen = await self._find(server_id)
        if seen is not None:
            for disk in seen.disks:
                row = rows.get(disk.uuid)
                if row is not None and kept_by_cluster(row.template):
                    await self._detach(seen, row, trail)
            ask = Ask("DELETE", f"/2/instances/{seen.name}", {"shutdown_timeout": 0})
            job = await self._jobs.run("delete", ask, trail)
            if await self._find(server_id) is not None:
                require_success(job, "delete the server")
                raise Passing("The server was deleted, and is still there.")
        await self._book.deleted((await self._book.of_server(server_id)).values())

    async def _detach(self, seen: Instance, row: Row[Any], trail: Trail | None) -> None:
        """Take away a disk of a server that is off, so that the cluster keeps it."""
        ask = self._disks(seen, ["detach", row.uuid, {}], hotplug=False)
        job = await self._jobs.run(f"detach:{row.volume_id}", ask, trail)
        if _has(await self._there(seen.server_id), row.uuid):
            require_success(job, "detach a volume")
            raise Passing("A volume was detached, and is still there.")
        await self._book.left([row])

    # --- disks ------------------------------------------------------------------------------------

    async def plug(self, server_id: str, plug: Plug, *, trail: Trail | None = None) -> None:
        words = [f"{what}:{plug.volume_id}" for what in ("hotplug", "add", "undo")]
        hot, *others = [await self._jobs.earlier(word, trail) for word in words]
        rows = await self._book.of_volume(plug.volume_id)
        if any(row.server_id == server_id and row.generation > plug.generation for row in rows.values()):
            return
        seen = await self._there(server_id)
        disk = _disk(seen, rows, plug.volume_id)
        if disk is None:
            if hot is not None and hot.status == "success" and not hotplugged(hot):
                raise _refused_by_guest(hot)  # and taken back since
            if hot is not None or any(others):
                await self._unbind(server_id, [plug])
            job = await self._add(seen, plug, rows, trail)
            hot = job if seen.runs else None
            seen = await self._there(server_id)
            disk = _disk(seen, rows, plug.volume_id)
            if disk is None:
                require_success(job, "plug the volume in")
                raise Passing("The volume was plugged in, and is not there.")
        await self._book.saw(server_id, [(disk, plug)])
        if hot is not None and hot.status == "success" and seen.runs and not hotplugged(hot):
            await self._take_back(seen, disk, plug, trail)
            raise _refused_by_guest(hot)

    async def _add(self, seen: Instance, plug: Plug, rows: Rows, trail: Trail | None) -> Job:
        spoken = version.of(await self._info([plug]), self.options.hypervisor)
        kept = next((row for row in rows.values() if row.server_id is None), None)
        if kept is None:
            change: list[Any] = ["add", -1, disks.parameters(self.name, seen.server_id, plug, spoken)]
        elif disks.kind_of(kept.template) == EXT and not spoken.attaches_ext:
            raise Failed("Ganeti 3.0 cannot attach such a volume again once it was detached.")
        else:
            change = ["attach", -1, {"uuid": kept.uuid}]
        what = f"{'hotplug' if seen.runs else 'add'}:{plug.volume_id}"
        return await self._jobs.run(what, self._disks(seen, change, hotplug=seen.runs), trail)

    async def _take_back(self, seen: Instance, disk: Disk, plug: Plug, trail: Trail | None) -> None:
        """The guest's machine did not take a disk that its instance has now."""
        op = "detach" if kept_by_cluster(disks.template_of(plug)) else "remove"
        change: list[Any] = [op, disk.uuid, {}]
        job = await self._jobs.run(f"undo:{plug.volume_id}", self._disks(seen, change, hotplug=True), trail)
        if _has(await self._there(seen.server_id), disk.uuid):
            require_success(job, "take back the volume")
            raise Passing("The volume was taken back, and is still there.")
        if (row := await self._book.of(disk.uuid)) is not None:
            await self._book.left([row])

    async def unplug(
        self, server_id: str, volume_id: str, generation: int, *, patience: float, trail: Trail | None = None
    ) -> None:
        """`patience` is Ganeti's own: it gives a guest 5 seconds."""
        job = await self._jobs.earlier(f"unplug:{volume_id}", trail)
        rows = await self._book.of_server(server_id)
        mine = [row for row in rows.values() if row.volume_id == volume_id]
        if any(row.generation > generation for row in mine):
            return
        seen = await self._find(server_id)
        if seen is None or _disk(seen, rows, volume_id) is None:
            await self._jobs.settle(self._names.of(server_id))  # it may just be being plugged in
            seen = await self._find(server_id)
        disk = None if seen is None else _disk(seen, rows, volume_id)
        if seen is not None and disk is not None:
            if seen.wanted_up and not seen.runs:
                await self.stop(server_id, patience=0, trail=trail)  # Ganeti takes no disk from what has died
            op = "detach" if any(kept_by_cluster(row.template) for row in mine) else "remove"
            ask = self._disks(seen, [op, disk.uuid, {}], hotplug=seen.runs)
            job = await self._jobs.run(f"unplug:{volume_id}", ask, trail)
            seen = await self._find(server_id)
            if seen is not None and _has(seen, disk.uuid):
                require_success(job, "unplug the volume")
                raise Passing("The volume was unplugged, and is still there.")
        if seen is not None and seen.runs:
            await self._require_let_go(mine, job)
        await self._book.left(mine)

    async def _require_let_go(self, mine: list[Row[Any]], job: Job | None) -> None:
        """The guest of a running server that has lost these disks has let go of them."""
        if any(row.held for row in mine):
            raise Failed(_HELD)
        if job is None:
            return  # removed by hand, perhaps; the pool gives no disk free that is still open somewhere
        if job.status != "success":
            raise Passing("Somebody else unplugs the volume just now.")
        if not hotplugged(job):
            for row in mine:
                await self._book.change(row, held=True)
            raise Failed(_HELD)

    async def _let_go(self, server_id: str) -> None:
        """A server that is off: nothing reaches the disks that its guest had not let go of."""
        rows = await self._book.of_server(server_id)
        await self._book.left(row for row in rows.values() if row.held)

    async def live_disk(self, server_id: str, volume_id: str, *, trail: Trail | None = None) -> GanetiLiveDisk | None:
        rows = await self._book.of_server(server_id)
        seen = await self._find(server_id)
        if seen is None or not seen.runs or _disk(seen, rows, volume_id) is None:
            return None
        return GanetiLiveDisk(lambda size: self.grown(server_id, volume_id, size, trail=trail))

    async def grown(self, server_id: str, volume_id: str, size: int, *, trail: Trail | None = None) -> None:
        what = f"grow:{volume_id}"
        await self._jobs.earlier(what, trail)
        rows = await self._book.of_server(server_id)
        seen = await self._find(server_id)
        disk = None if seen is None else _disk(seen, rows, volume_id)
        if seen is None or disk is None:
            return
        if disk.size < size:
            _require_no_wipe(await self._info(()))
            path = f"/disk/{seen.disks.index(disk)}/grow"
            ask = self._ask("POST", seen, path, amount=disks.mebibytes(size), absolute=True)
            job = await self._jobs.run(what, ask, trail)
            disk = _disk(await self._there(server_id), rows, volume_id)
            if disk is None or disk.size < size:
                require_success(job, "grow the volume")
                raise Passing("The volume was grown, and is as small as before.")
        if (row := rows.get(disk.uuid)) is not None and row.size != disk.size:
            await self._book.change(row, size=disk.size)

    async def mirror(self, server_id: str, volume_id: str) -> None:
        rows = await self._book.of_server(server_id)
        seen = await self._find(server_id)
        if seen is not None and seen.runs and _disk(seen, rows, volume_id) is not None:
            raise Failed("While a server on Ganeti runs, its disks stay in their pools; stop the server first.")

    async def moved(
        self, server_id: str, volume_id: str, generation: int, pool: Pool, *, trail: Trail | None = None
    ) -> None:
        what = f"move:{volume_id}:{pool.name}"
        job = await self._jobs.earlier(what, trail)
        rows = await self._book.of_server(server_id)
        seen = await self._find(server_id)
        disk = None if seen is None else _disk(seen, rows, volume_id)
        if seen is None or disk is None:
            return
        # It is the same disk for Ganeti: nobody adds it anew.
        await pool.bind(volume_disk(volume_id), disks.owner(self.name, server_id), generation, disk.uuid)
        if job is None or job.status != "success":
            ask = self._disks(seen, ["modify", disk.uuid, {"pool": pool.name}], hotplug=False)
            require_success(await self._jobs.run(what, ask, trail), "look for the volume in its new pool")

    async def name_disk(self, server_id: str, volume_id: str, *, trail: Trail | None = None) -> None:
        await self._jobs.earlier(f"name:{volume_id}", trail)
        rows = await self._book.of_server(server_id)
        seen = await self._there(server_id)
        disk, name = _disk(seen, rows, volume_id), volume_disk(volume_id)
        if disk is None:
            raise Failed("The server does not have the volume.")
        if disk.name != name:
            ask = self._disks(seen, ["modify", disk.uuid, {"name": name}], hotplug=False)
            job = await self._jobs.run(f"name:{volume_id}", ask, trail)
            disk = _disk(await self._there(server_id), rows, volume_id)
            if disk is None or disk.name != name:
                require_success(job, "name the volume's disk")
                raise Passing("The volume's disk was named, and is called as before.")

    async def delete_disk(self, volume_id: str, uuid: str) -> None:
        row = await self._book.of(uuid)
        if row is None:
            return
        await detached.delete(self._rapi, self._jobs, self.options, self._names.helper(volume_id), row)
        await self._book.deleted([row])

    # --- looking ----------------------------------------------------------------------------------

    async def look(self, server_id: str) -> SeenServer:
        rows = await self._book.of_server(server_id)
        seen = await self._find(server_id)
        return SeenServer(server_id, "missing", ()) if seen is None else _shown(seen, rows)

    async def servers(self) -> list[SeenServer]:
        rows = await self._book.all()
        return [_shown(seen, rows) for seen in await instances.every(self._rapi, self._names)]

    async def capacity(self) -> Capacity:
        return await nodes.capacity(self._rapi)

    async def console(self, server_id: str, lines: int | None) -> str:
        raise Failed("Ganeti keeps no log of what a guest writes to its console.")

    # --- ways in ----------------------------------------------------------------------------------

    async def _find(self, server_id: str) -> Instance | None:
        """The server's instance; `Away` if its node does not say whether it runs."""
        self._names.of(server_id)  # what cannot be one is nobody else's fault
        seen = await self._found.get(server_id)
        if seen is not None and seen.power == "unknown":
            raise Away("The node of the Ganeti cluster that the server is on does not answer.")
        return seen

    async def _there(self, server_id: str) -> Instance:
        seen = await self._find(server_id)
        if seen is None:
            raise Failed("The backend does not have the server.")
        return seen

    async def _info(self, plugs: Iterable[Plug]) -> dict[str, Any]:
        """What the cluster says of itself, now. `Failed` if it would wipe one of these disks."""
        info = await self._cluster.get(_INFO)
        assert info is not None
        if any(disks.template_of(plug) == EXT for plug in plugs):
            _require_no_wipe(info)
        return info

    async def _read_info(self, keys: frozenset[str]) -> dict[str, dict[str, Any]]:
        return {_INFO: await self._rapi.get(_INFO)}

    async def _unbind(self, server_id: str, plugs: Iterable[Plug]) -> None:
        """An earlier job for these plugs has failed: the next one may have the disks."""
        for plug in plugs:
            if disks.template_of(plug) == EXT:
                await plug.pool.unbind(plug.disk, disks.owner(self.name, server_id), plug.generation)

    def _ask(self, method: str, seen: Instance, path: str, *, query: dict[str, str] | None = None, **body: Any) -> Ask:
        return Ask(method, f"/2/instances/{seen.name}{path}", body, query or {})

    def _disks(self, seen: Instance, change: list[Any], *, hotplug: bool) -> Ask:
        """One disk for each job: several changes in one are not all or nothing."""
        return self._ask("PUT", seen, "/modify", disks=[change], hotplug=hotplug)


def _disk(seen: Instance, rows: Rows, volume_id: str) -> Disk | None:
    """The disk of an instance that is this volume: as our book says, else as it is named."""
    for disk in seen.disks:
        row = rows.get(disk.uuid)
        if (disk.volume_id if row is None else row.volume_id) == volume_id:
            return disk
    return None


def _has(seen: Instance, uuid: str) -> bool:
    return any(disk.uuid == uuid for disk in seen.disks)


def _shown(seen: Instance, rows: Rows) -> SeenServer:
    """Disks whose attachment nobody has written down yet are of generation 0; those that only the guest has any more
    have no index."""
    found, strange = [], []
    for index, disk in enumerate(seen.disks):
        row = rows.get(disk.uuid)
        volume_id = disk.volume_id if row is None else row.volume_id
        if volume_id is None:
            strange.append(f"disk {index}, {disk.name or disk.uuid}, {disk.size} bytes")
        else:
            generation = 0 if row is None else row.generation
            found.append(SeenDisk(volume_id, index, generation, size=disk.size, name=disk.name or ""))
    held = [row for row in rows.values() if row.held and row.server_id == seen.server_id and seen.runs]
    found += [SeenDisk(row.volume_id, None, row.generation, size=row.size) for row in held]
    return SeenServer(seen.server_id, seen.power, tuple(found), seen.vcpus, seen.memory, tuple(strange))


def _require_no_wipe(info: dict[str, Any]) -> None:
    if (reason := disks.wipe_refusal(info)) is not None:
        raise Failed(reason)


def _refused_by_guest(job: Job) -> Failed:
    return Failed(f"The server's machine did not take the volume: {warnings(job) or 'Ganeti does not say why.'}")
