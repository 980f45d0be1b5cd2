"""The way of every run of another project's tests: a cloud of its own, the tests that are not left out, a report."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.clouds import Cloud
from tests.conformance import left_out
from tests.conformance.report import Report
from tests.conformance.suites import EACH_CLASS, Suite


@dataclass(frozen=True)
class Plan:
    """`name` is the suite's in left_out.toml, `path` where its tests are below site-packages; `parts` are the prefixes
    of the tests to run, counted one by one. `prepare` writes into the workspace what the tests must know of the
    cloud. `environment` holds variables; `{workspace}` in a value stands for that directory. `settings` are variables
    of the cloud. `together` matches the beginning of a test's name: those for which it matches the same run one after
    another, since they share something (by default: their class)."""

    name: str
    path: str
    parts: Collection[str]
    prepare: Callable[[Path, Cloud], None]
    environment: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    together: str = EACH_CLASS


def main(plan: Plan, description: str | None) -> int:
    """As the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="only tests with one of these regular expressions in their names")
    parser.add_argument("--keep", type=Path, help="a directory for all files, left there to look at")
    parser.add_argument("--concurrency", type=int, default=2, help="tests at a time")
    parser.add_argument("--with-left-out", action="store_true", help="also run what is in the list")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # by the ways that end what was started
    with contextlib.ExitStack() as held:
        directory = given.keep or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="cyclades-")))
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)  # guests run as a user without rights
        wanted = [re.compile(pattern) for pattern in given.patterns]
        report = run(plan, directory, wanted, given.concurrency, with_left_out=given.with_left_out)
    return 0 if report.good else 1


def run(
    plan: Plan, directory: Path, wanted: Collection[re.Pattern[str]], concurrency: int, *, with_left_out: bool
) -> Report:
    begun = time.monotonic()
    workspace = directory / "workspace"
    environment = {name: value.format(workspace=workspace) for name, value in plan.environment.items()}
    suite = Suite(workspace, plan.path, together=plan.together, **environment)
    every = suite.names()
    reasons = left_out.read(plan.name)
    report = Report(plan.parts, reasons, unknown=left_out.unknown(reasons, every))
    names = [name for name in every if name.startswith(tuple(f"{part}." for part in plan.parts))]
    names = [name for name in names if not wanted or any(pattern.search(name) for pattern in wanted)]
    chosen = [name for name in names if with_left_out or left_out.plain(name) not in reasons]
    if not chosen:
        sys.exit("No test that is to run has such a name.")
    report.left_out(set(names) - set(chosen))
    cloud = Cloud(directory / "cloud", **plan.settings)
    try:
        cloud.start()
        plan.prepare(workspace, cloud)
        # A test's tags, which are in its name, may follow from what it knows of the cloud.
        chosen_ones = {left_out.plain(name) for name in chosen}
        chosen = [name for name in suite.names() if left_out.plain(name) in chosen_ones]
        report.add(suite.run(chosen, concurrency=concurrency).values())
    finally:
        cloud.end()
    report.show(time.monotonic() - begun)
    return report
