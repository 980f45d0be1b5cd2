"""The openstack command's own functional tests of volumes against a cloud of our own: part of `make test-clients`.

Fails as `run_tempest` does.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.clouds import Cloud
from tests.conformance import running


def prepare(workspace: Path, cloud: Cloud) -> None:
    """The command looks for this file where it runs."""
    shutil.copy(cloud.data / "clouds.yaml", workspace / "clouds.yaml")


PLAN = running.Plan(
    name="openstackclient",
    path="openstackclient/tests/functional/volume",
    parts=("openstackclient.tests.functional.volume.v3", "openstackclient.tests.functional.volume.v2"),
    prepare=prepare,
    environment={"OS_ADMIN_CLOUD": "cyclades-admin"},
)

if __name__ == "__main__":
    sys.exit(running.main(PLAN, __doc__))
