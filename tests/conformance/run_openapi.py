"""Schemathesis: what each service's OpenAPI document says, tried against a cloud of our own: `make test-openapi`.

Makes requests from the document, good and bad ones, and sequences of them, as an admin and as a member. Fails on an
answer of 500 or more, on a status, content type, header or body that the document does not have, on a method that is
answered although the document has none, and on an answer to who brings no token. `--seed` repeats a run, `--examples`
makes it longer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clouds import Cloud
from tests.conformance import openapi_things
from tests.conformance.openapi_things import FED, FED_ALONE, LEFT_OUT, POOLS

from cyclades.api import compute, events, identity, image, network, volume
from cyclades.api.http.service import Service

_ST = Path(__file__).parents[2] / ".venv-conformance" / "bin" / "st"
_HOOKS = Path(__file__).with_name("openapi_hooks.py")
_SEED = 20261124
_EXAMPLES = 8
_SETTINGS = """
max-stream-events = 1  # they have no end

[checks.negative_data_rejection]
expected-statuses = ["4xx"]  # also 413
"""
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "ignored_auth",
    "negative_data_rejection",
    "allow_header_conformance",
)


# Of the examples, how much is enough for a service. Identity is the last: an admin who tries it may delete himself.
SERVICES: tuple[tuple[Service, float], ...] = (
    *((service, 1.0) for service in volume.SERVICES),
    *((service, 0.5) for api in (image, network, events, compute, identity) for service in api.SERVICES),
)


@dataclass
class Outcome:
    passed: int = 0
    failed: int = 0

    def add(self, report: dict[str, Any]) -> None:
        cases = report["test_cases"]
        # What could not be tried at all has failed, too.
        failed = cases["with_failures"] + cases["errored"] + sum(error["count"] for error in report["errors"])
        self.failed += failed if report["exit_code"] == 0 else max(failed, 1)
        self.passed += cases["generated"] - cases["with_failures"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("services", nargs="*", help="only these, by their names (block-storage)")
    parser.add_argument("--seed", type=int, default=_SEED, help="of what is made up")
    parser.add_argument("--examples", type=int, default=_EXAMPLES, help="requests made for each operation, at most")
    parser.add_argument("--keep", type=Path, help="a directory for all files, left there to look at")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # by the ways that end what was started
    begun, outcome = time.monotonic(), Outcome()
    with contextlib.ExitStack() as held:
        directory = given.keep or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="cyclades-openapi-")))
        sides = [_Side(held, directory, name) for name in ("member", "admin")]
        for service, share in SERVICES:
            if given.services and service.name not in given.services:
                continue
            examples = max(1, round(given.examples * share))
            trials = [held.enter_context(_Trial(side, service, given.seed, examples)) for side in sides]
            for trial in trials:
                outcome.add(trial.end())
    print(f"\n{outcome.passed} passed, {outcome.failed} failed in {time.monotonic() - begun:.0f} s", flush=True)
    return 0 if outcome.failed == 0 else 1


class _Side:
    """The admin or the member, in a cloud of their own: schemathesis has one thread, so both are tried at once."""

    def __init__(self, held: contextlib.ExitStack, directory: Path, name: str) -> None:
        self.name, self.directory = name, directory / name
        pools = json.dumps([{"name": pool} for pool in POOLS])
        # A few guests are enough.
        self.cloud = Cloud(self.directory / "cloud", CYCLADES_POOLS=pools, CYCLADES_QUOTAS_SERVERS="3")
        held.callback(self.cloud.end)
        self.cloud.start()
        admin, member = self.cloud.user("openrc"), self.cloud.user("openrc-demo")
        self.user, other = (admin, member) if name == "admin" else (member, admin)
        self.things = openapi_things.make(self.user, other, admin)


class _Trial:
    """Schemathesis, at one service."""

    def __init__(self, side: _Side, service: Service, seed: int, examples: int) -> None:
        self._title = f"{service.name}, as {side.name}"
        self._workspace = side.directory / service.name
        self._report = self._workspace / "report.json"
        self._said = self._workspace / "said.txt"
        self._workspace.mkdir(parents=True)
        (self._workspace / "schemathesis.toml").write_text(_SETTINGS)
        given = {"THINGS": side.things, "FED": FED, "FED_ALONE": FED_ALONE, "LEFT_OUT": LEFT_OUT}
        environment = {**os.environ, "CYCLADES_OPENAPI_THINGS": json.dumps(given), "SCHEMATHESIS_HOOKS": str(_HOOKS)}
        words: list[str] = [str(_ST), "run", f"{side.cloud.url}{service.prefix}/openapi.json"]
        words += ["--header", f"X-Auth-Token: {side.user.token}"]
        if (versions := service.versions) is not None:
            words += ["--header", f"OpenStack-API-Version: {versions.name} {versions.most}"]
        words += ["--seed", str(seed), "--max-examples", str(examples), "--checks", ",".join(_CHECKS)]
        words += ["--request-timeout", "60", "--continue-on-failure", "--warnings", "off", "--no-color"]
        words += ["--report", "json", "--report-json-path", str(self._report)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                words, cwd=self._workspace, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def __enter__(self) -> _Trial:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def end(self) -> dict[str, Any]:
        """Wait for it, and show what it said; returns its report."""
        self._process.wait()
        print(f"\n=== {self._title}\n{self._said.read_text('utf-8', 'replace')}", flush=True)
        found: dict[str, Any] = json.loads(self._report.read_text())
        return found


if __name__ == "__main__":
    sys.exit(main())
