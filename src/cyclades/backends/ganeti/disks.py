"""What Ganeti is told of disks."""

from __future__ import annotations

from typing import Any

from cyclades.backends.base import Plug
from cyclades.backends.ganeti.version import Version
from cyclades.model import capabilities
from cyclades.model.errors import Failed
from cyclades.model.units import MIB


def template_of(plug: Plug) -> str:
    """The disk template (and another provider than ours: `ext/archipelago`), as `capabilities.template_of` has it."""
    return capabilities.template_of(plug.pool.name) or capabilities.EXT


def kind_of(template: str) -> str:
    """Ganeti's word alone."""
    return template.partition("/")[0]


def parameters(backend: str, server_id: str, plug: Plug, version: Version) -> dict[str, Any]:
    """Of a disk that is to be made for a server, or taken out of its pool for it."""
    if plug.read_only:
        raise Failed("Ganeti does not start a server with a disk that cannot be written.")
    told: dict[str, Any] = {"size": mebibytes(plug.size), "name": plug.disk}
    template = template_of(plug)
    if template == capabilities.EXT:
        return told | {
            "provider": capabilities.OWN_PROVIDER,
            "access": version.access,
            "pool": plug.pool.name,
            "volume": plug.volume_id,
            "owner": owner(backend, server_id),
            "generation": str(plug.generation),
        }
    provider = capabilities.provider_of(template)
    return told | ({**plug.parameters, "provider": provider} if provider else {})


def owner(backend: str, server_id: str) -> str:
    """Who has a pool's disk, as `Pool.claim` was told."""
    return f"{backend}/{server_id}"


def mebibytes(size: int) -> int:
    """Ganeti counts in these; `size` is bytes."""
    if size % MIB:
        raise Failed(f"Ganeti has no disk of {size} bytes: it counts whole MiB.")
    return size // MIB


def wipe_refusal(info: dict[str, Any]) -> str | None:
    """Why a cluster must not be given the disks of a pool: with this setting it overwrites, with zeros, each disk that
    it believes it has just made. `info` is what RAPI says of the cluster."""
    if not info.get("prealloc_wipe_disks"):
        return None
    return (
        "The Ganeti cluster is set to wipe new disks (prealloc_wipe_disks), and would wipe those of a pool: its "
        "operator has to switch that off (gnt-cluster modify --prealloc-wipe-disks=no)."
    )
