"""Tempest, OpenStack's own tests of its APIs, against a cloud of our own: `make test-tempest`.

Starts a cloud in a temporary directory, gives it two images, runs the tests of the Block Storage, Identity and Image
APIs that are not in left_out.toml, and says of each part how many passed, failed and were skipped. Fails if a test
failed, if one skipped itself that the list does not have, or if the list has a test that Tempest has not.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.clouds import Cloud
from tests.conformance import guests, left_out, tempest_settings
from tests.conformance.report import Report
from tests.conformance.suites import Suite

PARTS = ("tempest.api.volume", "tempest.api.identity", "tempest.api.image")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="only tests with one of these regular expressions in their names")
    parser.add_argument("--keep", type=Path, help="a directory for all files, left there to look at")
    parser.add_argument("--concurrency", type=int, default=2, help="tests at a time")
    parser.add_argument("--with-left-out", action="store_true", help="also run what is in the list")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with contextlib.ExitStack() as held:
        directory = given.keep or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="cyclades-tempest-")))
        return run(directory, given.patterns, given.concurrency, with_left_out=given.with_left_out)


def run(directory: Path, patterns: Iterable[str], concurrency: int, *, with_left_out: bool) -> int:
    """Returns the exit code."""
    begun = time.monotonic()
    suite = Suite(directory / "tempest", "tempest/test_discover", TEMPEST_CONFIG_DIR=str(directory / "tempest"))
    every = suite.names()
    reasons = left_out.read("tempest")
    report = Report(PARTS, reasons, unknown=left_out.unknown(reasons, every))
    wanted = [re.compile(pattern) for pattern in patterns]
    names = [name for name in every if name.startswith(tuple(f"{part}." for part in PARTS))]
    names = [name for name in names if not wanted or any(pattern.search(name) for pattern in wanted)]
    chosen = [name for name in names if with_left_out or left_out.plain(name) not in reasons]
    report.left_out(name for name in names if name not in set(chosen))
    cloud = Cloud(directory / "cloud")
    try:
        cloud.start()
        images = guests.images(cloud)
        tempest_settings.write(directory / "tempest", cloud, images)
        report.add(suite.run(chosen, concurrency=concurrency).values())
    finally:
        cloud.end()
    report.show(time.monotonic() - begun)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
