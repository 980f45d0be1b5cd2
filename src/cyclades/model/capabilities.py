"""What can a volume of this type do? The one place that answers.

A type's extra specs name its disk template and, for `ext`, its provider and the pool. Everything else asks
here, and a refusal names the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cyclades.model.errors import Invalid

TEMPLATE_SPEC = "cyclades:disk_template"
PROVIDER_SPEC = "cyclades:provider"
POOL_SPEC = "cyclades:pool"
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
TEMPLATES = frozenset({EXT, "rbd", "sharedfile", "gluster", "plain", "drbd", "file"})


@dataclass(frozen=True)
class Kind:
    """How the disks of a type are kept. `pool` is the name of one of the configured pools."""

    disk_template: str
    provider: str
    pool: str


@dataclass(frozen=True)
class Capabilities:
    """`multiattach`: one volume in several servers at a time. `detachable`: it lives without a server."""

    multiattach: bool
    detachable: bool


# By the engine of the pool.
_OF_POOL = {"qcow2": Capabilities(multiattach=False, detachable=True)}


def kind_of(extra_specs: Mapping[str, str], pools: Mapping[str, str]) -> Kind:
    """The kind that a type's extra specs ask for. `pools` is each configured pool's engine by its name, the
    default one first. `Invalid` if this cloud cannot keep such disks."""
    template = extra_specs.get(TEMPLATE_SPEC, EXT)
    provider = extra_specs.get(PROVIDER_SPEC, OWN_PROVIDER)
    if template not in TEMPLATES:
        raise Invalid("disk-template", f"There is no disk template {template!r}.", field="extra_specs")
    if template != EXT or provider != OWN_PROVIDER:
        raise Invalid(
            "disk-template-backend",
            f"Disk template {template!r} with provider {provider!r} needs a backend that has it, and none of the "
            f"configured ones does: use 'ext' with provider '{OWN_PROVIDER}'.",
            field="extra_specs",
        )
    pool = extra_specs.get(POOL_SPEC) or _asked(extra_specs, BACKEND_SPEC) or next(iter(pools))
    if pool not in pools:
        raise Invalid("pool", f"There is no pool {pool!r}; there is {', '.join(pools)}.", field="extra_specs")
    kind = Kind(template, provider, pool)
    if wants_multiattach(extra_specs):
        refuse_unless(capabilities(kind, pools).multiattach, "multiattach", pools[pool])
    return kind


def require_one_template(kept: Iterable[Mapping[str, str]]) -> None:
    """`Invalid` unless all disks of a server, of types with these extra specs, have one disk template: so it is in
    Ganeti, and so it stays wherever a server runs."""
    templates = sorted({extra_specs.get(TEMPLATE_SPEC, EXT) for extra_specs in kept})
    if len(templates) > 1:
        raise Invalid(
            "one-disk-template",
            f"All disks of a server have one disk template; these would have {' and '.join(templates)}.",
        )


def unmet(extra_specs: Mapping[str, str], kind: Kind, pools: Mapping[str, str]) -> str | None:
    """What the specs ask of a pool that it is not, as the reason why nothing can be made there."""
    for spec, value in ((VENDOR_SPEC, VENDOR), (PROTOCOL_SPEC, pools[kind.pool])):
        wanted = _asked(extra_specs, spec)
        if wanted not in (None, value):
            return f"The volume type asks for {spec} {wanted!r}; pool {kind.pool} has {value!r}."
    return None


def _asked(extra_specs: Mapping[str, str], spec: str) -> str | None:
    return extra_specs.get(spec) or extra_specs.get(_SCOPE + spec)


def wants_multiattach(extra_specs: Mapping[str, str]) -> bool:
    """Whether a type is for volumes that several servers have at a time."""
    return extra_specs.get("multiattach", "").replace(" ", "").lower() == "<is>true"


def require_detachable(kind: Kind, pools: Mapping[str, str]) -> None:
    """`Invalid` if a volume of this kind cannot be made without a server that it is attached to."""
    if not capabilities(kind, pools).detachable:
        raise Invalid(
            "server-required",
            f"A volume with disk template {kind.disk_template!r} lives only on a server: say on which.",
            field="server_id",
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


def capabilities(kind: Kind, pools: Mapping[str, str]) -> Capabilities:
    return of_pool(kind.pool, pools)


def of_pool(pool: str, pools: Mapping[str, str]) -> Capabilities:
    """Of all volumes in a pool."""
    return _OF_POOL[pools[pool]]


def refuse_unless(can: bool, what: str, engine: str) -> None:
    if not can:
        raise Invalid(f"capability-{what}", f"A pool of the kind {engine} does not offer {what}.", field="extra_specs")
