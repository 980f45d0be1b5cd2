"""The request that makes an instance."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cyclades.backends.base import ImageFill, ServerSpec
from cyclades.backends.ganeti import disks
from cyclades.backends.ganeti.jobs import Ask
from cyclades.backends.ganeti.options import GanetiOptions
from cyclades.backends.ganeti.version import Version

_FILLER = "cyclades-image"
_DISKLESS = "diskless"
_SHARED_FILE = "sharedfile"


def memory_of(spec: ServerSpec) -> dict[str, int]:
    """As Ganeti's "backend parameters"."""
    return {"maxmem": spec.memory, "minmem": spec.memory, "vcpus": spec.vcpus}


def server(
    backend: str, name: str, spec: ServerSpec, options: GanetiOptions, version: Version, place: dict[str, str]
) -> Ask:
    """With all its disks, and not started yet: Ganeti would not heed a `start` where nothing is installed. An image is
    written only where a pool has not done that."""
    plugs = sorted(spec.plugs, key=lambda plug: plug.index)
    nics = [] if options.nic_link is None else [_nic(nic.mac, options) for nic in spec.nics]
    return _create(
        name,
        options,
        place,
        disk_template=template_of(spec),
        disks=[disks.parameters(backend, spec.server_id, plug, version) for plug in plugs],
        nics=nics,
        beparams=memory_of(spec),
        hvparams=options.hvparams,
        **({} if spec.fill is None else _filling(spec.fill)),
    )


def _filling(fill: ImageFill) -> dict[str, Any]:
    """How the OS definition `cyclades-image` is told of the image. Ganeti forgets a secret parameter."""
    told = {name: value for name, value in asdict(fill).items() if value}
    secret = {"token": told.pop("token")}
    return {"os_type": _FILLER, "no_install": False, "osparams": told, "osparams_secret": secret}


def template_of(spec: ServerSpec) -> str:
    """The one disk template of all its disks, as Ganeti wants it and rules have seen to."""
    return next((disks.kind_of(disks.template_of(plug)) for plug in spec.plugs), _DISKLESS)


def helper(name: str, template: str, options: GanetiOptions, place: dict[str, str]) -> Ask:
    """An instance that never runs, and takes a detached disk of this template along when it is removed. To one without
    disks Ganeti attaches none that is a file: it has no directory for it. So it gets one of its own."""
    is_file = template == _SHARED_FILE
    return _create(
        name,
        options,
        place,
        disk_template=template if is_file else _DISKLESS,
        disks=[{"size": 1}] if is_file else [],
        nics=[],
        beparams={"maxmem": 1, "minmem": 1, "vcpus": 1},
        ignore_ipolicy=True,
    )


def _create(name: str, options: GanetiOptions, place: dict[str, str], **values: Any) -> Ask:
    body = {
        "__version__": 1,
        "mode": "create",
        "instance_name": name,
        "hypervisor": options.hypervisor,
        "os_type": options.os,
        "no_install": True,
        "start": False,
        # Nobody needs to resolve our names, and who looks for them waits for a name server.
        "name_check": False,
        "ip_check": False,
        "conflicts_check": False,
    }
    return Ask("POST", "/2/instances", body | place | values)


def _nic(mac: str, options: GanetiOptions) -> dict[str, str]:
    found = {"mac": mac, "link": options.nic_link, "mode": options.nic_mode}
    return {name: value for name, value in found.items() if value is not None}
