"""What can a volume of this type do? The one place that answers.

A type's extra specs name its disk template and, for `ext`, its provider and the pool. Everything else asks
here, and a refusal names the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cyclades.model.errors import Invalid

TEMPLATE_SPEC = "cyclades:disk_template"
PROVIDER_SPEC = "cyclades:provider"
POOL_SPEC = "cyclades:pool"
PARAMETER_SPECS = "GNT-EXTP:"  # Synnefo's: begins the specs that a provider gets as parameters
BACKEND_SPEC = "volume_backend_name"  # Cinder's word for the pool
VENDOR_SPEC = "vendor_name"
PROTOCOL_SPEC = "storage_protocol"
_SCOPE = "capabilities:"  # may stand before those three, as in Cinder
ZONES_SPEC = "RESKEY:availability_zones"  # Cinder's word: a type with it is for these zones alone
# What users see of a type's extra specs; the rest says how the cloud is built, and is for admins.
USER_VISIBLE_SPECS = (ZONES_SPEC, "multiattach", "replication_enabled")

VENDOR = "Cyclades"  # what every pool says of itself
EXT = "ext"
OWN_PROVIDER = "cyclades"
_MIRRORED = ("rbd", "sharedfile", "gluster")  # every node of a cluster reaches such a disk
_BOUND = ("plain", "drbd", "file")
TEMPLATES = frozenset({EXT, *_MIRRORED, *_BOUND})
_BY_GANETI = "ganeti:"  # begins the name that stands for the disks that Ganeti itself makes, where a pool's would stand
_STAYS = "bound"  # ends that name where a provider has not declared that a server can be without the disk


@dataclass(frozen=True)
class Kind:
    """How the disks of a type are kept. `pool` is one of the configured pools, or stands for disks that Ganeti makes:
    `ganeti:plain`, `ganeti:ext/archipelago`, and `ganeti:ext/local/bound` for a provider whose disks cannot be
    detached: what was declared when a volume was made holds for it."""

    disk_template: str
    provider: str
    pool: str


@dataclass(frozen=True)
class Capabilities:
    """`multiattach`: one volume in several servers at a time. `detachable`: it lives without a server. `filled`: a new
    one can be the root of a server that boots from an image. `freezes`: the pool takes snapshots by itself, also while
    a guest has the disk open somewhere else than on this machine."""

    multiattach: bool
    detachable: bool
    filled: bool = True
    freezes: bool = False


@dataclass(frozen=True)
class Storage:
    """Where disks can lie in this cloud: each configured pool's engine by its name, the default one first, and what
    other providers of ExtStorage than our own declare that they can."""

    pools: Mapping[str, str]
    providers: Mapping[str, Capabilities] = field(default_factory=dict)


# By the engine of the pool, or the disk template.
_OF_POOL = {
    "qcow2": Capabilities(multiattach=False, detachable=True),
    "rbd": Capabilities(multiattach=True, detachable=True, freezes=True),
}
_OF_TEMPLATE = {
    **dict.fromkeys(_MIRRORED, Capabilities(multiattach=False, detachable=True)),
    **dict.fromkeys(_BOUND, Capabilities(multiattach=False, detachable=False)),
}


def kind_of(extra_specs: Mapping[str, str], storage: Storage) -> Kind:
    """The kind that a type's extra specs ask for. `Invalid` if this cloud cannot keep such disks."""
    template = extra_specs.get(TEMPLATE_SPEC, EXT)
    provider = extra_specs.get(PROVIDER_SPEC) or (OWN_PROVIDER if template == EXT else "")
    if template not in TEMPLATES:
        raise Invalid("disk-template", f"There is no disk template {template!r}.", field="extra_specs")
    if template != EXT and provider:
        text = f"Disk template {template!r} has no provider; leave {PROVIDER_SPEC} out."
        raise Invalid("disk-template-provider", text, field="extra_specs")
    kind = Kind(template, provider, _pool(extra_specs, template, provider, storage))
    if wants_multiattach(extra_specs):
        can = of_pool(kind.pool, storage).multiattach
        refuse_unless(can, "multiattach", described(kind.pool, storage), field="extra_specs")
    return kind


def _pool(extra_specs: Mapping[str, str], template: str, provider: str, storage: Storage) -> str:
    pool = extra_specs.get(POOL_SPEC) or _asked(extra_specs, BACKEND_SPEC)
    if (template, provider) != (EXT, OWN_PROVIDER):
        if provider and provider not in storage.providers:
            text = f"There is no provider {provider!r} of ExtStorage in this cloud's configuration."
            raise Invalid("disk-template-provider", text, field="extra_specs")
        by_ganeti = _by_provider(provider, storage.providers[provider]) if provider else _BY_GANETI + template
        if pool not in (None, by_ganeti):
            text = f"Disks of the template {template!r} are made by Ganeti, not in pool {pool!r}: leave the pool out."
            raise Invalid("pool", text, field="extra_specs")
        return by_ganeti
    if not storage.pools:
        text = "This cloud has no pool: a type names the disk template that Ganeti keeps its disks in."
        raise Invalid("pool", text, field="extra_specs")
    pool = pool or next(iter(storage.pools))
    if pool not in storage.pools:
        raise Invalid("pool", f"There is no pool {pool!r}; there is {', '.join(storage.pools)}.", field="extra_specs")
    return pool


def _by_provider(provider: str, declared: Capabilities) -> str:
    return f"{_BY_GANETI}{EXT}/{provider}" + ("" if declared.detachable else f"/{_STAYS}")


def parameters(extra_specs: Mapping[str, str], *, origin: str | None, origin_size: int) -> dict[str, str]:
    """What a provider of ExtStorage that is not ours is told of a new disk: the type's own words, and of what it is
    made (`origin_size` is bytes), as Archipelago's provider takes it."""
    own = {
        name.removeprefix(PARAMETER_SPECS): value
        for name, value in extra_specs.items()
        if name.startswith(PARAMETER_SPECS)
    }
    made_of = {} if origin is None else {"origin": origin, "origin_size": str(origin_size)}
    return {**own, **made_of, "reuse_data": "False"}


def standing_for(templates: Iterable[str], providers: Iterable[str], *, attaches_ext: bool = True) -> set[str]:
    """The names that stand, where a pool's would, for the disks that a cluster makes with these templates and, for
    `ext`, these providers. `attaches_ext`: it can attach one of theirs again that was detached."""
    templates = set(templates)
    found = {_BY_GANETI + template for template in templates & TEMPLATES - {EXT}}
    if EXT not in templates:
        return found
    ways = (True, False) if attaches_ext else (False,)
    each = [Capabilities(multiattach=False, detachable=detachable) for detachable in ways]
    return found | {_by_provider(provider, declared) for provider in providers for declared in each}


def template_of(pool: str) -> str | None:
    """The disk template (and provider: `ext/archipelago`, `ext/local/bound`) whose disks this name stands for; None for
    a pool."""
    return pool.removeprefix(_BY_GANETI) if pool.startswith(_BY_GANETI) else None


def provider_of(template: str) -> str | None:
    """The provider that a disk template has with it here, if that is not our own."""
    _, *found = template.split("/")
    return found[0] if found else None


def lives_on_server(pool: str) -> bool:
    """Whether this stands for disks that are made and end with a place in their server: added and removed, never
    detached."""
    template = template_of(pool)
    return template is not None and _is_bound(template)


def kept_by_cluster(template: str) -> bool:
    """Whether a cluster keeps a disk that it made (with this template, and provider: `ext/archipelago`) when no server
    has it. What lies in a pool does not need that."""
    return template != EXT and not _is_bound(template)


def _is_bound(template: str) -> bool:
    return template in _BOUND or template.endswith(f"/{_STAYS}")


def engine_of(pool: str, storage: Storage) -> str:
    """What keeps the disks: a pool's engine, or Ganeti's template."""
    template = template_of(pool)
    return storage.pools[pool] if template is None else template


def described(pool: str, storage: Storage) -> str:
    """For refusals."""
    template = template_of(pool)
    if template is None:
        return f"A pool of the kind {storage.pools[pool]}"
    provider = provider_of(template)
    return f"Ganeti's disk template {template}" if provider is None else f"The ExtStorage provider {provider}"


def require_one_template(kept: Iterable[Mapping[str, str]]) -> None:
    """`Invalid` unless all disks of a server, of types with these extra specs, have one disk template: so it is in
    Ganeti, and so it stays wherever a server runs."""
    templates = sorted({extra_specs.get(TEMPLATE_SPEC, EXT) for extra_specs in kept})
    if len(templates) > 1:
        raise Invalid(
            "one-disk-template",
            f"All disks of a server have one disk template; these would have {' and '.join(templates)}.",
        )


def unmet(extra_specs: Mapping[str, str], kind: Kind, storage: Storage) -> str | None:
    """What the specs ask of a pool that it is not, as the reason why nothing can be made there."""
    for spec, value in ((VENDOR_SPEC, VENDOR), (PROTOCOL_SPEC, engine_of(kind.pool, storage))):
        wanted = _asked(extra_specs, spec)
        if wanted not in (None, value):
            return f"The volume type asks for {spec} {wanted!r}; pool {kind.pool} has {value!r}."
    return None


def _asked(extra_specs: Mapping[str, str], spec: str) -> str | None:
    return extra_specs.get(spec) or extra_specs.get(_SCOPE + spec)


def wants_multiattach(extra_specs: Mapping[str, str]) -> bool:
    """Whether a type is for volumes that several servers have at a time."""
    return extra_specs.get("multiattach", "").replace(" ", "").lower() == "<is>true"


def require_detachable(kind: Kind, storage: Storage) -> None:
    """`Invalid` if a volume of this kind cannot be made without a server that it is attached to."""
    if not of_pool(kind.pool, storage).detachable:
        raise Invalid(
            "server-required",
            f"{described(kind.pool, storage)} keeps a volume only on a server: say on which.",
            field="server_id",
        )


def require_end_with_server(pool: str, *, ends: bool) -> None:
    """`Invalid` if a volume is to outlive its server (`ends` False), and cannot."""
    if not ends and lives_on_server(pool):
        text = f"A volume with disk template {template_of(pool)} lives only on its server, and ends with it."
        raise Invalid("ends-with-server", text, field="delete_on_termination")


def filled_by_image(pool: str) -> bool:
    """Whether this stands for disks that a node fills with an image's file. Another provider than ours makes them of an
    `origin` that it has by itself."""
    template = template_of(pool)
    return template is not None and provider_of(template) is None


def require_pool(pool: str, what: str) -> None:
    """`Invalid` for what needs a pool, that is storage that Cyclades itself reaches (`what`: snapshots, copies …), if
    this stands for disks that Ganeti makes."""
    template = template_of(pool)
    refuse_unless(template is None, what, f"Ganeti's disk template {template}")


def require_fill(kind: Kind, storage: Storage, *, source: str, is_root: bool) -> None:
    """`Invalid` if a volume of this kind cannot be made from such a source: Ganeti fills the root of a server alone,
    and that from an image."""
    if template_of(kind.pool) is None or source == "blank":
        return
    if source != "image" or not is_root or not of_pool(kind.pool, storage).filled:
        can = "fills the root disk of a new server alone, from an image"
        raise Invalid(
            "template-root-only",
            f"{described(kind.pool, storage)} {can if of_pool(kind.pool, storage).filled else 'fills no disks'}: this "
            "volume has to be empty, or of a type that keeps its disks in a pool.",
            field="volume_type",
        )


def check_zone(extra_specs: Mapping[str, str], zone: str) -> None:
    """`Invalid` if a type is not for volumes in `zone`."""
    zones = [name.strip() for name in extra_specs.get(ZONES_SPEC, "").split(",") if name.strip()]
    if zones and zone not in zones:
        raise Invalid(
            "type-zone",
            f"The volume type is for the availability zones {', '.join(zones)}, not for '{zone}'.",
            field="availability_zone",
        )


def of_pool(pool: str, storage: Storage) -> Capabilities:
    """Of all volumes in a pool, or of all disks that Ganeti makes in one way."""
    template = template_of(pool)
    if template is None:
        return _OF_POOL[storage.pools[pool]]
    provider = provider_of(template)
    if provider is None:
        return _OF_TEMPLATE[template]
    return replace(storage.providers[provider], detachable=not _is_bound(template))


def refuse_unless(can: bool, what: str, who: str, *, field: str | None = None) -> None:
    if not can:
        raise Invalid(f"capability-{what.replace(' ', '-')}", f"{who} does not offer {what}.", field=field)
