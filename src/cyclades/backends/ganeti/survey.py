"""A look at a whole cluster, before Cyclades works with it; and whether it can be used as its operator says."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import httpx

from cyclades.backends.base import Capacity
from cyclades.backends.ganeti import nodes
from cyclades.backends.ganeti.instances import Names
from cyclades.backends.ganeti.options import Access, GanetiOptions
from cyclades.backends.ganeti.rapi import Rapi
from cyclades.model.capabilities import EXT, TEMPLATES
from cyclades.model.errors import Away, Invalid

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Survey:
    """`cluster` is its own name. `nodes` are all of them, `open_nodes` those that take servers. `ours` are the ids of
    the servers that its instances are by their names, `others` is the number of the other instances. `capacity.
    refuses_pools` is why it must not be given disks of pools."""

    cluster: str
    version: str
    nodes: int
    open_nodes: int
    hypervisors: tuple[str, ...]
    oses: tuple[str, ...]
    ours: tuple[str, ...]
    others: int
    capacity: Capacity


async def survey(name: str, access: Access, options: GanetiOptions) -> Survey:
    """Look at the cluster that is to be the backend `name`. Raises `Away` if it cannot be reached, or does not let the
    user change anything."""
    rapi = Rapi(name, access)
    try:
        await rapi.submit("DELETE", "/2/jobs/0", None)  # there is no such job: only who may write is told so
        info = await rapi.get("/2/info")
        every = await rapi.get("/2/nodes")
        names = [row[0] for row in await rapi.query("instance", ["name"])]
        ours = [found for name in names if (found := Names(options.domain).server_of(name)) is not None]
        return Survey(
            cluster=info["name"],
            version=info["software_version"],
            nodes=len(every),
            open_nodes=len(await nodes.open_ones(rapi)),
            hypervisors=tuple(info["enabled_hypervisors"]),
            oses=tuple(await rapi.get("/2/os")),
            ours=tuple(ours),
            others=len(names) - len(ours),
            capacity=await nodes.capacity(rapi),
        )
    finally:
        await rapi.close()


def require_fit(found: Survey, options: GanetiOptions, pools: Collection[str]) -> None:
    """`Invalid` unless servers can run there with these options, and with disks of these pools."""
    templates = found.capacity.disk_templates
    if pools and found.capacity.refuses_pools is not None:
        raise Invalid("cluster-wipes", found.capacity.refuses_pools, field="pool")
    if pools and EXT not in templates:
        raise Invalid(
            "cluster-template",
            f"Disks of pools need the disk template {EXT}, which the cluster has not enabled "
            f"(gnt-cluster modify --enabled-disk-templates={','.join((*templates, EXT))}).",
            field="pool",
        )
    usable = TEMPLATES.intersection(templates) - {EXT}
    if not (pools or usable or (options.providers and EXT in templates)):
        raise Invalid(
            "cluster-template", f"Without a pool, none of its disk templates can be used: {_list(templates)}."
        )
    if options.providers and EXT not in templates:
        raise Invalid("cluster-template", f"Providers need the disk template {EXT}, which is not enabled there.")
    if options.hypervisor not in found.hypervisors:
        text = f"The cluster has no hypervisor {options.hypervisor!r}; it has {_list(found.hypervisors)}."
        raise Invalid("cluster-hypervisor", text, field="hypervisor")
    if options.os not in found.oses:
        text = f"The cluster's nodes do not all have the OS definition {options.os!r}; they have {_list(found.oses)}."
        raise Invalid("cluster-os", text, field="os")


def _list(names: Collection[str]) -> str:
    return ", ".join(names) or "none"


async def shown_certificate(url: str) -> str:
    """The certificate (PEM) that whoever answers at this URL shows: nobody has vouched for it. Raises `Away`."""
    where = httpx.URL(url)
    trusting: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(where.host, where.port or 443, ssl=trusting)
    except (OSError, TimeoutError) as error:
        raise Away(f"Nobody shows a certificate at {url}: {error or 'there is no answer'}.") from error
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return ssl.DER_cert_to_PEM_cert(shown)


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate (PEM, the first one), as `openssl x509 -fingerprint -sha256` writes it."""
    end = "-----END CERTIFICATE-----"
    first = certificate[certificate.find("-----BEGIN") : certificate.find(end) + len(end)]
    try:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest().upper()
    except ValueError as error:
        raise Invalid("certificate", "This is not a certificate in PEM form.", field="certificate") from error
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
