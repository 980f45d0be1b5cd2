"""What a look at this machine finds, without the database: settings, certificate, directories, keys."""

from __future__ import annotations

import shutil
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url

from cyclades.cli.checkup.finding import Findings, error, lasted, ok, size, warning
from cyclades.config import Settings
from cyclades.security import keys

_OLD_KEY = 365 * 86400.0  # seconds after which keys should be changed
_LITTLE, _VERY_LITTLE = 0.10, 0.03  # of a file system that is free
_SOON = 30  # days before a certificate ends


def settings(given: Settings, file: Path | None) -> Findings:
    """`file` is where they were read from."""
    about = "settings"
    api, problems = given.api, 0
    for one in _of_addresses(given):
        problems += 1
        yield one
    if file is not None and make_url(given.database_url).password and file.stat().st_mode & stat.S_IROTH:
        problems += 1
        yield warning(about, f"Everybody may read {file}, which has the database's password.", f"chmod o-r {file}")
    if given.engine.reconcile_seconds == 0:
        problems += 1
        yield warning(about, "Nobody compares the database with what is there (engine.reconcile_seconds is 0).",
                      "cyclades reconcile-servers; cyclades reconcile-volumes")  # fmt: skip
    if not problems:
        yield ok(about, f"The APIs are at {given.public_url}; listening on {api.host}:{api.port}.")


def _of_addresses(given: Settings) -> Findings:
    about, api = "settings", given.api
    at_home = api.host in ("localhost", "::1") or api.host.startswith("127.")
    if not at_home and api.tls_cert is None:
        if api.insecure:
            yield warning(about, f"Passwords travel in clear to {api.host}, unless something in front does TLS.",
                          "set [api] tls_cert and tls_key")  # fmt: skip
        else:
            yield error(about, f"[api] host is {api.host}, and there is no TLS: the APIs do not start.",
                        "set [api] tls_cert and tls_key")  # fmt: skip
    if not at_home and not api.public_url and api.host in ("0.0.0.0", "::"):  # noqa: S104 (it is read, not set)
        yield error(about, f"Clients are told to go to {given.public_url}, which is no address for them.",
                    "set [api] public_url")  # fmt: skip


def certificate(given: Settings) -> Findings:
    from cryptography import x509

    about, file = "certificate", given.api.tls_cert
    if file is None:
        return
    try:
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as problem:
        yield error(about, f"{file} cannot be used: {problem}")
        return
    days = (ends - datetime.now(UTC)).days
    advice = "get a new one, and start the APIs again"
    if days < 0:
        yield error(about, f"{file} ended on {ends:%Y-%m-%d}: no client accepts it.", advice)
    elif days < _SOON:
        yield warning(about, f"{file} ends on {ends:%Y-%m-%d}, in {days} days.", advice)
    else:
        yield ok(about, f"{file} ends on {ends:%Y-%m-%d}.")


def directory(given: Settings) -> Findings:
    about, where = "data directory", given.data
    if not where.is_dir():
        yield error(about, f"There is none at {where}.", "cyclades up makes it")
        return
    if where.stat().st_mode & stat.S_IWOTH:
        yield error(about, f"Everybody may write to {where}.", f"chmod o-w {where}")
    yield from free_space(about, where)


def free_space(about: str, where: Path) -> Findings:
    usage = shutil.disk_usage(where)
    part = usage.free / usage.total if usage.total else 0.0
    text = f"{size(usage.free)} of {size(usage.total)} are free in {where}."
    if part < _VERY_LITTLE:
        yield error(about, text, "make room there, or move it to a larger file system")
    elif part < _LITTLE:
        yield warning(about, text, "make room there, or move it to a larger file system")
    else:
        yield ok(about, text)


def of_keys(given: Settings) -> Findings:
    about, where = "keys", given.key_dir
    if not where.is_dir():
        yield error(about, f"There are none in {where}.", "cyclades up or cyclades api makes them, or restore a backup")
        return
    if where.stat().st_mode & 0o077:
        yield warning(about, f"Others may look into {where}.", f"chmod 700 {where}")
    found, problems = keys.survey(where)
    for problem in problems:
        yield error(about, problem, "cyclades key-rotate, once it is mended")
    for use, what in (("tokens", "sign tokens"), ("secrets", "seal secrets")):
        times = [made_at for one, made_at in found if one == use]
        if not times:
            yield error(about, f"There is none to {what} in {where}.", "restore it from a backup")
            continue
        age = time.time() - max(times)
        text = f"{len(times)} to {what}, the newest {lasted(age)} old."
        if age > _OLD_KEY:
            yield warning(about, text, "cyclades key-rotate")
        else:
            yield ok(about, text)
