"""`cyclades node-files`"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from pathlib import Path
from typing import IO, Annotated

import typer

import cyclades
from cyclades.cli.options import ConfigFile, Data, settings_from
from cyclades.cli.refused import Refused, refusals_told
from cyclades.config import Settings

# Where Ganeti looks for what is not from a package; `node_files` is a link to the directory `ganeti` of the sources.
_PLACE = "usr/local/lib/ganeti"
_FILES = Path(cyclades.__file__).parent / "node_files"
_SETTINGS = "etc/cyclades/node.json"


def node_files(
    backend: Annotated[str, typer.Argument(help="Name of the cluster's backend.")],
    pool: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIRECTORY", help="Where a pool is on the nodes, if it is elsewhere there."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write to. Default: standard output.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Write an archive (tar) of what each node of a Ganeti cluster needs: the storage provider and the OS definition of
    Cyclades, and the node's settings. Install or replace it, on every node:

    cyclades node-files BACKEND | ssh root@NODE tar -xC /
    """
    with refusals_told():
        settings = settings_from(config, data)
        if "/" in backend or any(one.name == backend for one in settings.backends):
            raise Refused(f"{backend} cannot be the name of a Ganeti cluster's backend.")
        archive = _archive({"backend": backend, "pools": _directories(settings, pool or [])})
        if output is not None:
            output.write_bytes(archive)
        elif sys.stdout.isatty():
            raise Refused("An archive is not for the screen: use --output, or `| ssh root@NODE tar -xC /`.")
        else:
            sys.stdout.buffer.write(archive)


def _directories(settings: Settings, elsewhere: list[str]) -> dict[str, str]:
    """Where each pool is on the nodes."""
    directories = [pool for pool in settings.pools if pool.engine == "qcow2"]
    found = {pool.name: str(settings.pool_directory(pool).absolute()) for pool in directories}
    for one in elsewhere:
        name, _, directory = one.partition("=")
        if name not in found or not directory.startswith("/"):
            raise Refused(f"--pool takes the name of a pool ({', '.join(found)}) and an absolute path, not {one!r}.")
        found[name] = directory
    return found


def _archive(settings: dict[str, object]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path in sorted(_FILES.glob("*/*/*")):
            if path.name != "__pycache__":
                name = f"{_PLACE}/{path.relative_to(_FILES)}"
                archive.addfile(_owned_by_root(archive.gettarinfo(path, name)), _content(path))
        text = (json.dumps(settings, indent=2) + "\n").encode()
        entry = tarfile.TarInfo(_SETTINGS)
        entry.size, entry.mtime, entry.mode = len(text), int(time.time()), 0o644
        archive.addfile(entry, io.BytesIO(text))
    return target.getvalue()


def _content(path: Path) -> IO[bytes] | None:
    return None if path.is_symlink() else io.BytesIO(path.read_bytes())


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry
