"""What `backend-add` and `backend-modify` have in common: the way into a Ganeti cluster, and how it is used."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
import typer

from cyclades.backends.ganeti.options import Access, GanetiOptions
from cyclades.backends.ganeti.survey import Survey, fingerprint, require_fit, shown_certificate, survey
from cyclades.cli import asking, output
from cyclades.cli.beside import Cloud
from cyclades.cli.options import pairs
from cyclades.cli.output import Fields, Format
from cyclades.cli.refused import Refused
from cyclades.config import Settings
from cyclades.model.errors import Invalid
from cyclades.security.keys import KeyFileError, Keys
from cyclades.store import clusters
from cyclades.store.database import Tx
from cyclades.store.schema import server

_USE = "How the cluster is used"
_WAY = "The way into the cluster"

User = Annotated[str | None, typer.Option(help="A user of RAPI that may write.", rich_help_panel=_WAY)]
PasswordFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|-",
        help="Whose first line is the user's password (-: standard input). Without it, it is asked for.",
        rich_help_panel=_WAY,
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="What RAPI shows, or who signed it (PEM: /var/lib/ganeti/rapi.pem without its key). Without it, the one "
        "that is shown now is taken, once you have compared its fingerprint.",
        rich_help_panel=_WAY,
    ),
]
Fingerprint = Annotated[
    str | None,
    typer.Option(
        metavar="SHA256", help="Take the certificate that is shown if this is its fingerprint.", rich_help_panel=_WAY
    ),
]
Domain = Annotated[
    str | None,
    typer.Option(
        help="Ends the names of the instances: snf-<server id>.DOMAIN. Default: cyclades.internal.",
        rich_help_panel=_USE,
    ),
]
Hypervisor = Annotated[str | None, typer.Option(help="Default: kvm.", rich_help_panel=_USE)]
Hvparams = Annotated[
    list[str] | None,
    typer.Option(
        "--hvparam",
        metavar="NAME=VALUE",
        help="Of new instances, where it differs from the cluster's (NAME= takes it away again); repeatable.",
        rich_help_panel=_USE,
    ),
]
Os = Annotated[
    str | None,
    typer.Option(help="OS definition of new instances. Default: cyclades-image.", rich_help_panel=_USE),
]
NicMode = Annotated[
    str | None, typer.Option(help="How servers are connected: bridged, routed, ovs.", rich_help_panel=_USE)
]
NicLink = Annotated[
    str | None, typer.Option(help="To what: the bridge. Without one, servers have no network.", rich_help_panel=_USE)
]
Iallocator = Annotated[
    str | None,
    typer.Option(help="Ganeti's own chooser of nodes, like hail. Without one, Cyclades chooses.", rich_help_panel=_USE),
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider", help="Another ExtStorage provider that its nodes have; repeatable.", rich_help_panel=_USE
    ),
]
LookSeconds = Annotated[
    float | None,
    typer.Option(help="How often to look what servers do by themselves. Default: 10.", rich_help_panel=_USE),
]


def options_from(before: Mapping[str, Any], hvparams: list[str] | None, **given: Any) -> GanetiOptions:
    """Those of `before` and those that were given (None: not given; nothing: taken away). `Invalid` if they cannot
    be."""
    options = {**before, **{name: value for name, value in given.items() if value is not None}}
    for name, text in pairs(hvparams or [], "--hvparam").items():
        options["hvparams"] = {**options.get("hvparams", {}), name: _value(text)}
    options["hvparams"] = {name: value for name, value in options.get("hvparams", {}).items() if value is not None}
    for name in ("nic_mode", "nic_link"):
        options[name] = options.get(name) or None
    try:
        return msgspec.convert(options, GanetiOptions)
    except msgspec.ValidationError as error:
        raise Invalid("backend-options", f"The options cannot be: {error}.") from error


def _value(text: str) -> Any:
    """Truths and numbers are Ganeti's own where they look so; nothing is None."""
    if not text:
        return None
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return found if isinstance(found, bool | int) else text


def access(**given: Any) -> Access:
    try:
        return Access(**given)
    except ValueError as error:
        raise Invalid("backend-url", str(error), field="url") from error


def password_from(file: str | None) -> str:
    """The first line of a file, of standard input, or what is typed."""
    if file is None:
        if not sys.stdin.isatty():
            raise Refused("There is nobody to ask for the password: give --password-file.")
        typed: str = typer.prompt("Password", hide_input=True, err=True)
        return typed
    try:
        found = sys.stdin.readline() if file == "-" else Path(file).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The password cannot be read from {file}: {error}.") from error
    if not found.rstrip("\r\n"):
        raise Refused("The password is empty.")
    return found.rstrip("\r\n")


def certificate_from(url: str, file: Path | None, wanted: str | None, *, may_ask: bool) -> str:
    """PEM: of a file, or what is shown at `url` if its fingerprint is `wanted`, or somebody says that it is right."""
    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"{file} cannot be read: {error}.") from error
        if "PRIVATE KEY" in text:
            raise Refused(f"{file} has a private key in it: give the certificate alone.")
        fingerprint(text)
        return text
    access(url=url, user="", password="", certificate="")
    if wanted is None and not may_ask:
        raise Refused("Nobody is asked whether the certificate is right: give --certificate or --fingerprint.")
    shown = asyncio.run(shown_certificate(url))
    found = fingerprint(shown)
    if wanted is None:
        typer.echo(f"The cluster shows a certificate with the SHA-256 fingerprint\n  {found}", err=True)
        typer.echo("On its master: openssl x509 -in /var/lib/ganeti/rapi.pem -noout -fingerprint -sha256", err=True)
        asking.confirm("Is it this one?", [], [])
    elif wanted.replace(":", "").upper() != found.replace(":", ""):
        raise Refused(f"The certificate that is shown has another fingerprint: {found}.")
    return shown


def looked_at(cloud: Cloud, name: str, way: Access, options: GanetiOptions, pools: Collection[str]) -> Survey:
    """The cluster as it is now; what it holds is told on standard error. A refusal if it cannot be used so."""
    try:
        found = asyncio.run(survey(name, way, options))
    except ValueError as error:
        raise Invalid("certificate", str(error), field="certificate") from error
    item = cloud.db.read_now(lambda tx: _told(tx, found))
    output.show(item, Format.TABLE, tuple(item), err=True)
    require_fit(found, options, pools)
    return found


def _told(tx: Tx, found: Survey) -> Fields:
    there = sa.select(server.c.id).where(server.c.id.in_(found.ours), server.c.deleted_at.is_(None))
    known = set(tx.execute(there).scalars())
    ours = [f"{server_id}{'' if server_id in known else ' (this cloud does not know it)'}" for server_id in found.ours]
    return {
        "cluster": found.cluster,
        "Ganeti": found.version,
        "nodes": f"{found.nodes}, of which {found.open_nodes} take servers",
        "memory": f"{found.capacity.memory} MiB, of which {found.capacity.memory_free} MiB are free",
        "vcpus": found.capacity.vcpus,
        "disk templates": ", ".join(found.capacity.disk_templates),
        "hypervisors": ", ".join(found.hypervisors),
        "OS definitions": ", ".join(found.oses),
        "wipes new disks": found.capacity.refuses_pools is not None,
        "instances that are our servers by their names": ours,
        "other instances, which are left alone": found.others,
    }


def require_pools(settings: Settings, pools: Sequence[str]) -> None:
    for name in pools:
        if name not in settings.storage.pools:
            there = ", ".join(settings.storage.pools) or "none"
            raise Invalid("pool", f"There is no pool {name!r}; there is {there}.", field="pool")
        if settings.storage.pools[name] == "rbd":
            text = f"Pool {name} is in Ceph; nodes of Ganeti clusters do not get at such pools yet."
            raise Invalid("pool", text, field="pool")


def require_lone(tx: Tx, name: str, url: str) -> None:
    """`Invalid` if another backend is at this URL: two that use one cluster would not know of each other."""
    for row in clusters.every(tx):
        if row.name != name and row.url.rstrip("/") == url.rstrip("/"):
            raise Invalid("backend-url", f"Backend {row.name} is at this URL already.", field="url")


def sealed(settings: Settings, name: str, password: str) -> bytes:
    """As the database keeps it."""
    if not settings.key_dir.is_dir():
        raise Refused(f"There are no keys in {settings.key_dir}: `cyclades up` or `cyclades api` makes the first.")
    try:
        return Keys(settings.key_dir).seal(password.encode(), clusters.sealed_as(name))
    except KeyFileError as error:
        raise Refused(str(error)) from error
