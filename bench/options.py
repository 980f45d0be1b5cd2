"""What the command line says."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PARTS = ("start", "create", "clone", "attach", "servers", "requests")
# Parts that are measured only where they are named: one starts a real cluster, as root; the other takes a quarter of an
# hour.
GANETI, PURGE = "ganeti", "purge"
NAMED = (GANETI, PURGE)
OURS_ONLY = ("start", "attach", "servers", *NAMED)  # they look into a process, a console and a monitor
_OUR_VOLUMES, _OUR_MADE = (1_000, 100_000), 2_000
_FOREIGN_VOLUMES, _FOREIGN_MADE = (50,), 10  # made one by one, under a quota, and deleted again


@dataclass(frozen=True)
class Login:
    """Somebody's cloud, as OpenStack's clients are told of it."""

    auth_url: str
    username: str
    password: str
    project_name: str
    user_domain_name: str
    project_domain_name: str
    region_name: str | None


@dataclass(frozen=True)
class Options:
    """`login` is None for a cloud that we start ourselves. `volumes`: how many there are when requests are counted.
    `seconds` and `most` bound one run of requests (`most_made` those that make volumes), `rounds` is how often what
    takes time is done, `large` is GiB."""

    login: Login | None
    parts: tuple[str, ...]
    clients: tuple[int, ...]
    volumes: tuple[int, ...]
    seconds: float
    most: int
    most_made: int
    rounds: int
    large: int
    directory: Path | None


def parse(words: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Cyclades, or another Cinder.")
    parser.add_argument("--quick", action="store_true", help="everything in about a minute, less exactly")
    parser.add_argument(
        "--parts", type=_parts, default=PARTS, metavar="P,…", help=f"of {', '.join(PARTS)}; and {', '.join(NAMED)}"
    )
    parser.add_argument("--clients", type=_numbers, default=(1, 8, 32), metavar="N,…", help="at once, of each kind")
    parser.add_argument("--volumes", type=_numbers, metavar="N,…", help="how many there are while requests are counted")
    parser.add_argument("--seconds", type=float, help="that one kind of request is counted (default 3)")
    parser.add_argument("--rounds", type=int, help="of what takes time: volumes made, attached … (default 30)")
    parser.add_argument("--large", type=int, default=1024, metavar="GIB", help="the large volume (default 1024)")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="where our clouds' files go (in a tmpfs, fsync is free)"
    )
    cloud = parser.add_argument_group(
        "another cloud",
        "Without --auth-url one is started. With it, what is missing here is read from OS_USERNAME and so on.",
    )
    cloud.add_argument("--auth-url", help="of Keystone")
    for name in ("username", "password", "project-name", "region-name"):
        cloud.add_argument(f"--{name}")
    for name in ("user-domain-name", "project-domain-name"):
        cloud.add_argument(f"--{name}", help="(default Default)")
    given = parser.parse_args(words)
    login = _login(parser, given)
    return Options(
        login=login,
        parts=given.parts,
        clients=given.clients,
        volumes=tuple(sorted(given.volumes or (_FOREIGN_VOLUMES if login else _OUR_VOLUMES))),
        seconds=given.seconds or (0.5 if given.quick else 3.0),
        most=2_000 if given.quick else 20_000,
        most_made=_FOREIGN_MADE if login else _OUR_MADE,
        rounds=given.rounds or (7 if given.quick else 30),
        large=given.large,
        directory=given.directory,
    )


def _login(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Login | None:
    if given.auth_url is None:
        return None

    def value(name: str, default: str | None = None) -> str:
        found: str | None = getattr(given, name) or os.environ.get(f"OS_{name.upper()}") or default
        if found is None:
            parser.error(f"--auth-url needs --{name.replace('_', '-')} as well")
        return found

    return Login(
        auth_url=given.auth_url,
        username=value("username"),
        password=value("password"),
        project_name=value("project_name"),
        user_domain_name=value("user_domain_name", "Default"),
        project_domain_name=value("project_domain_name", "Default"),
        region_name=value("region_name", "") or None,
    )


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - {*PARTS, *NAMED}:
        there = ", ".join((*PARTS, *NAMED))
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {there}")
    return parts


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers") from None
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("each number must be at least 1")
    return numbers
