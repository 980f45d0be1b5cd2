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

from tests.clouds import Cloud, User
from tests.conformance import openapi_things
from tests.conformance.openapi_things import FED, FED_ALONE, POOLS, Things

from cyclades.api import compute, events, identity, image, network, volume
from cyclades.api.http.service import Service

_ST = Path(__file__).parents[2] / ".venv-conformance" / "bin" / "st"
_HOOKS = Path(__file__).with_name("openapi_hooks.py")
_SEED = 20261124
_EXAMPLES = 12
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
        pools = json.dumps([{"name": name} for name in POOLS])
        # A few guests are enough.
        cloud = Cloud(directory / "cloud", CYCLADES_POOLS=pools, CYCLADES_QUOTAS_SERVERS="3")
        held.callback(cloud.end)
        cloud.start()
        admin, member = cloud.user("openrc"), cloud.user("openrc-demo")
        for name, user, other in (("member", member, admin), ("admin", admin, member)):
            things = openapi_things.make(user, other, admin)
            for service, share in SERVICES:
                if given.services and service.name not in given.services:
                    continue
                workspace = directory / f"{name}-{service.name}"
                workspace.mkdir(parents=True)
                print(f"\n=== {service.name}, as {name}", flush=True)
                examples = max(1, round(given.examples * share))
                outcome.add(_try(workspace, cloud, service, user, things, given.seed, examples))
    print(f"\n{outcome.passed} passed, {outcome.failed} failed in {time.monotonic() - begun:.0f} s", flush=True)
    return 0 if outcome.failed == 0 else 1


def _try(
    workspace: Path, cloud: Cloud, service: Service, user: User, things: Things, seed: int, examples: int
) -> dict[str, Any]:
    """Returns its report."""
    given = {"things": things, "fed": FED, "fed_alone": FED_ALONE}
    environment = {**os.environ, "CYCLADES_OPENAPI_THINGS": json.dumps(given), "SCHEMATHESIS_HOOKS": str(_HOOKS)}
    report = workspace / "report.json"
    words: list[str] = [str(_ST), "run", f"{cloud.url}{service.prefix}/openapi.json"]
    words += ["--header", f"X-Auth-Token: {user.token}"]
    if (versions := service.versions) is not None:
        words += ["--header", f"OpenStack-API-Version: {versions.name} {versions.most}"]
    words += ["--seed", str(seed), "--max-examples", str(examples), "--checks", ",".join(_CHECKS)]
    words += ["--request-timeout", "60", "--continue-on-failure", "--warnings", "off", "--no-color"]
    words += ["--report", "json", "--report-json-path", str(report)]
    (workspace / "schemathesis.toml").write_text(_SETTINGS)
    subprocess.run(words, check=False, cwd=workspace, env=environment)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


if __name__ == "__main__":
    sys.exit(main())
