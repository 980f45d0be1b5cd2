"""Schemathesis: what each service's OpenAPI document says, tried against a cloud of our own: `make test-openapi`.

Makes requests from the document, good and bad ones, and sequences of them, as an admin; fails on an answer of 500 or
more, on a status, content type or body that the document does not have, and on a path that does not know its methods.
`--seed` repeats a run, `--examples` makes it longer.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clouds import Cloud

_ST = Path(__file__).parents[2] / ".venv-conformance" / "bin" / "st"
SERVICES = ("volume/v3",)
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "ignored_auth",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20261124, help="of what is made up")
    parser.add_argument("--examples", type=int, default=25, help="requests made for each operation, at most")
    parser.add_argument("--keep", type=Path, help="a directory for all files, left there to look at")
    given = parser.parse_args()
    with contextlib.ExitStack() as held:
        directory = given.keep or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="cyclades-openapi-")))
        cloud = Cloud(directory / "cloud")
        try:
            cloud.start()
            return max(_try(cloud, service, given.seed, given.examples) for service in SERVICES)
        finally:
            cloud.end()


def _try(cloud: Cloud, service: str, seed: int, examples: int) -> int:
    url = f"{cloud.url}/{service}/openapi.json"
    words = [str(_ST), "run", url, "--header", f"X-Auth-Token: {cloud.user('openrc').token}"]
    words += ["--seed", str(seed), "--max-examples", str(examples), "--checks", ",".join(_CHECKS)]
    words += ["--request-timeout", "60", "--continue-on-failure"]
    return subprocess.run(words, check=False, cwd=cloud.data).returncode


if __name__ == "__main__":
    sys.exit(main())
