"""The tests of other projects that are not run, and why: left_out.toml.

A reason is a feature that Cyclades does not have (yet), or that the test's own project took the test out of use.
It is never that the test fails.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

_FILE = Path(__file__).with_name("left_out.toml")


def read(suite: str) -> dict[str, str]:
    """The reason for each test of a suite that is left out, by its name without what is in brackets."""
    reasons: dict[str, str] = {}
    for group in tomllib.loads(_FILE.read_text())[suite]:
        for name in group["tests"]:
            if name in reasons:
                raise ValueError(f"{_FILE.name} has {name} twice")
            reasons[name] = group["reason"]
    return reasons


def unknown(reasons: Iterable[str], names: Iterable[str]) -> list[str]:
    """The tests in the list that the suite does not have (any more)."""
    return sorted(set(reasons) - {plain(name) for name in names})


def plain(name: str) -> str:
    """A test's name without its tags."""
    return name.partition("[")[0]
