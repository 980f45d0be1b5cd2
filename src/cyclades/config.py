"""Settings, from one TOML file and the environment.

Each setting `x` of section `[s]` is also read from `CYCLADES_S_X`, which wins; lists are given there as
JSON. An unknown name is refused, so that a typing error does not pass in silence.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cyclades.model.capabilities import Capabilities, Storage

UNLIMITED = -1

_Positive = msgspec.Meta(gt=0)


class _Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Api(_Section):
    """Where the APIs listen. `public_url` is what the catalog tells clients; empty: made from host and port. `tls_ca`:
    what our certificate is checked by, for machines that do not trust it by themselves (nodes of Ganeti's)."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8774
    public_url: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    insecure: bool = False
    region: str = "RegionOne"
    availability_zone: str = "nova"
    max_body: int = 256 * 1024  # bytes of a JSON body
    page: int = 1000  # the most rows in one answer
    event_seconds: float = 24 * 3600.0  # that events are kept for clients that come back


class DatabaseSettings(_Section):
    """`url`: empty means SQLite in the data directory."""

    url: str = ""
    threads: int = 8


class Identity(_Section):
    token_seconds: int = 24 * 3600
    hash_memory: int = 19456  # KiB of one argon2 hash
    hash_at_once: int = 2
    logins_per_minute: int = 600  # failed ones count, per user and per address


_NAME = msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_CEPH_NAME = msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,62}$")


class PoolSettings(_Section):
    """`directory` is where `qcow2` keeps its files, and `rbd` what it copies in. The rest is for `rbd` (docs/ceph.md):
    `ceph_conf`, `ceph_pool` (Ceph's name of it), the cephx users for us and for guests' QEMUs (`node_user`, empty: the
    same), `keyring` if `ceph_conf` does not say where ours is. `clone_depth`: how many clones may stand on each
    other. `python` is one that has Ceph's bindings."""

    name: Annotated[str, _NAME]
    engine: Literal["qcow2", "rbd"] = "qcow2"
    directory: Path | None = None
    ceph_conf: Path = Path("/etc/ceph/ceph.conf")
    ceph_pool: Annotated[str, _CEPH_NAME] = "cyclades"
    user: Annotated[str, _CEPH_NAME] = "cyclades"
    node_user: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,62}$")] = ""
    keyring: Path | None = None
    clone_depth: Annotated[int, _Positive] = 8
    python: Path = Path("/usr/bin/python3")


class ProviderSettings(_Section):
    """A provider of ExtStorage, other than our own, that Ganeti's nodes have, and what it declares. `fills`: it makes a
    disk from an `origin`, as Archipelago's does. `detaches`: every node of a cluster reaches a disk, and one that no
    instance has stays as it is; else a disk begins and ends on its server."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
    fills: bool = False
    detaches: bool = False


class BackendSettings(_Section):
    name: Annotated[str, _NAME]
    kind: Literal["local"] = "local"
    directory: Path | None = None
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    user: int = 64321  # and group, of guests' QEMUs where Cyclades runs as root


class Quotas(_Section):
    """What a project may have unless it has a limit of its own; -1 is no limit. `disk` is bytes, `ram` MiB."""

    disk: int = UNLIMITED
    volumes: int = 100
    gigabytes: int = 10_000
    snapshots: int = 100
    per_volume_gigabytes: int = UNLIMITED
    images: int = 100
    image_bytes: int = 1 << 40
    servers: int = 50
    cores: int = 200
    ram: int = 512 * 1024


class Limits(_Section):
    """What no request may pass, whatever the quota."""

    volume_gib: int = 64 * 1024  # the largest volume
    image_bytes: int = 1 << 40  # the largest file of an image
    metadata_items: int = 128


class Compute(_Section):
    """`unplug_seconds`, `stop_seconds`: how long a guest is given to let go of a volume, and to power off.
    `network_name` is what clients call the network that servers are in."""

    unplug_seconds: float = 25.0
    stop_seconds: float = 60.0
    network_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = "cyclades"


class EngineSettings(_Section):
    """`lease_seconds` after an engine died another goes on with its work. `idle_seconds` after its last look an
    engine looks for work although nobody woke it. `concurrency`: operations that one engine works on at a time.
    `reconcile_seconds` lie between two comparisons of the database with what is there; 0: there are none."""

    lease_seconds: Annotated[float, _Positive] = 30.0
    idle_seconds: Annotated[float, _Positive] = 5.0
    concurrency: Annotated[int, _Positive] = 16
    reconcile_seconds: Annotated[float, msgspec.Meta(ge=0)] = 3600.0


_MONTH = 30 * 24 * 3600.0


class Housekeeping(_Section):
    """How long what is over is kept. `deleted_seconds`: deleted volumes, snapshots, servers and so on, for clients that
    ask for changes, and for an account of what was used. `operation_seconds`: operations that have ended, which a
    server's history is made of."""

    deleted_seconds: Annotated[float, _Positive] = 3 * _MONTH
    operation_seconds: Annotated[float, _Positive] = 3 * _MONTH


class Monitoring(_Section):
    """Where a process serves `/metrics`, `/healthz` and `/readyz` to whoever can reach the address; port 0: nowhere."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class Settings(_Section):
    """`data` is the directory of everything that is not in the database."""

    data: Path = msgspec.field(default_factory=lambda: Path("~/.local/share/cyclades").expanduser())
    api: Api = msgspec.field(default_factory=Api)
    database: DatabaseSettings = msgspec.field(default_factory=DatabaseSettings)
    identity: Identity = msgspec.field(default_factory=Identity)
    quotas: Quotas = msgspec.field(default_factory=Quotas)
    limits: Limits = msgspec.field(default_factory=Limits)
    compute: Compute = msgspec.field(default_factory=Compute)
    engine: EngineSettings = msgspec.field(default_factory=EngineSettings)
    monitoring: Monitoring = msgspec.field(default_factory=Monitoring)
    housekeeping: Housekeeping = msgspec.field(default_factory=Housekeeping)
    pools: tuple[PoolSettings, ...] = (PoolSettings(name="local"),)
    providers: tuple[ProviderSettings, ...] = ()
    backends: tuple[BackendSettings, ...] = (BackendSettings(name="local"),)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def database_url(self) -> str:
        file = str(self.data.absolute() / "cyclades.db").replace("%", "%25").replace("?", "%3F")
        return self.database.url or f"sqlite:///{file}"

    @property
    def image_dir(self) -> Path:
        return self.data / "images"

    @property
    def key_dir(self) -> Path:
        return self.data / "keys"

    @property
    def public_url(self) -> str:
        """Without a slash at its end."""
        scheme = "https" if self.api.tls_cert else "http"
        host = f"[{self.api.host}]" if ":" in self.api.host else self.api.host
        return (self.api.public_url or f"{scheme}://{host}:{self.api.port}").rstrip("/")

    @property
    def storage(self) -> Storage:
        """What the rules of volumes need to know of it."""
        declared = {
            one.name: Capabilities(multiattach=False, detachable=one.detaches, filled=one.fills)
            for one in self.providers
        }
        return Storage({pool.name: pool.engine for pool in self.pools}, declared)

    def pool_directory(self, pool: PoolSettings) -> Path:
        return pool.directory or self.data / "pools" / pool.name

    def pool_settings(self, name: str) -> PoolSettings | None:
        return next((pool for pool in self.pools if pool.name == name), None)


class SettingsError(Exception):
    """A setting that cannot be used; the message says which, and where it came from."""


_LISTS = ("pools", "providers", "backends")


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """Settings from `file`, then the environment, then `given` (`section__name=value`, from a command line;
    None is left out). Raises `SettingsError`."""
    try:
        tree: dict[str, Any] = tomllib.loads(file.read_text()) if file else {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from error
    _overlay(tree, environ)
    for name, value in given.items():
        if value is not None:
            _put(tree, name.split("__"), value)
    try:
        return msgspec.convert(tree, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file or 'settings'}: {error}") from error


def _path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise NotImplementedError


def _overlay(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    for field in msgspec.structs.fields(Settings):
        prefix = f"CYCLADES_{field.name.upper()}"
        if isinstance(field.type, type) and issubclass(field.type, _Section):
            for inner in msgspec.structs.fields(field.type):
                if (value := environ.get(f"{prefix}_{inner.name.upper()}")) is not None:
                    _put(tree, [field.name, inner.name], value)
        elif (value := environ.get(prefix)) is not None:
            try:
                _put(
                    tree,
                    [field.name],
                    msgspec.json.decode(value) if field.name in _LISTS else value,
                )
            except msgspec.DecodeError as error:
                raise SettingsError(f"{prefix} is not JSON: {error}") from error


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value
