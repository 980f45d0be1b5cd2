"""What can a volume of this type do? The one place that answers.

A type's extra specs name its disk template and, for `ext`, its provider and the pool. Everything else asks
here, and a refusal names the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyclades.model.errors import Invalid

TEMPLATE_SPEC = "cyclades:disk_template"
PROVIDER_SPEC = "cyclades:provider"
POOL_SPEC = "cyclades:pool"

OWN_PROVIDER = "cyclades"
TEMPLATES = frozenset({"ext", "rbd", "sharedfile", "gluster", "plain", "drbd", "file"})


@dataclass(frozen=True)
class Kind:
    """How the disks of a type are kept. `pool` is the name of one of the configured pools."""

    disk_template: str
    provider: str
    pool: str


@dataclass(frozen=True)
class Capabilities:
    """`multiattach`: one volume in several servers at a time."""

    multiattach: bool


# By the engine of the pool.
_OF_POOL = {"qcow2": Capabilities(multiattach=False)}


def kind_of(extra_specs: Mapping[str, str], pools: Mapping[str, str]) -> Kind:
    """The kind that a type's extra specs ask for. `pools` is each configured pool's engine by its name, the
    default one first. `Invalid` if this cloud cannot keep such disks."""
    template = extra_specs.get(TEMPLATE_SPEC, "ext")
    provider = extra_specs.get(PROVIDER_SPEC, OWN_PROVIDER)
    if template not in TEMPLATES:
        raise Invalid("disk-template", f"There is no disk template {template!r}.", field="extra_specs")
    if template != "ext" or provider != OWN_PROVIDER:
        raise Invalid(
            "disk-template-backend",
            f"Disk template {template!r} with provider {provider!r} needs a backend that has it, and none of the "
            f"configured ones does: use 'ext' with provider '{OWN_PROVIDER}'.",
            field="extra_specs",
        )
    pool = extra_specs.get(POOL_SPEC) or next(iter(pools))
    if pool not in pools:
        raise Invalid("pool", f"There is no pool {pool!r}; there is {', '.join(pools)}.", field="extra_specs")
    kind = Kind(template, provider, pool)
    if extra_specs.get("multiattach", "").replace(" ", "").lower() == "<is>true":
        refuse_unless(capabilities(kind, pools).multiattach, "multiattach", pools[pool])
    return kind


def capabilities(kind: Kind, pools: Mapping[str, str]) -> Capabilities:
    return _OF_POOL[pools[kind.pool]]


def refuse_unless(can: bool, what: str, engine: str) -> None:
    if not can:
        raise Invalid(f"capability-{what}", f"A pool of the kind {engine} does not offer {what}.", field="extra_specs")
