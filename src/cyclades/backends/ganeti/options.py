"""How Cyclades uses one Ganeti cluster, as its operator says."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = msgspec.Meta(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=180)
_WORD = msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}$")


class GanetiOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`domain` ends the names of our instances; nobody has to resolve them. `hvparams` are those of new instances that
    differ from the cluster's. `os` is the OS definition that instances are made with: Ganeti demands one that its nodes
    have, also where nothing is installed. `nic_mode` and `nic_link` say how servers are connected (no link: they have
    no network). `iallocator` chooses the node of a new server (empty: we do, the one with the most free memory).
    `providers` are those of ExtStorage, besides our own, that the nodes have. Every `look_seconds` we look what servers
    do by themselves."""

    domain: Annotated[str, _DOMAIN] = "cyclades.internal"
    hypervisor: Annotated[str, _WORD] = "kvm"
    hvparams: dict[str, Any] = {}
    os: Annotated[str, _WORD] = "cyclades-image"
    nic_mode: Annotated[str, _WORD] | None = None
    nic_link: Annotated[str, _WORD] | None = None
    iallocator: str = ""
    providers: tuple[Annotated[str, _WORD], ...] = ()
    look_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0


_URL = re.compile(r"https://[A-Za-z0-9.:\[\]-]+(:\d{1,5})?/?")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The way into a cluster: `url` of its RAPI, a user of it that may write, and the certificate (PEM) that it shows:
    its own, or that of who signed it."""

    url: str
    user: str
    password: str
    certificate: str

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url):
            raise ValueError(f"{self.url!r} is not the URL of a cluster's RAPI, like https://ganeti.example.org:5080.")

    def __repr__(self) -> str:
        return f"Access({self.url!r}, {self.user!r})"
