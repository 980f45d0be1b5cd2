"""The openstack command's own functional tests of volumes against a cloud of our own: part of `make test-clients`.

Fails as `run_tempest` does.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.clouds import Cloud
from tests.conformance import running

_DEFAULT_TYPE = "lvmdriver-1"  # DevStack's, which a test looks for


def prepare(workspace: Path, cloud: Cloud) -> None:
    shutil.copy(cloud.data / "clouds.yaml", workspace / "clouds.yaml")  # the command looks for it where it runs
    admin = cloud.user("openrc")
    default = admin.ask("GET", "/volume/v3/types/default")["volume_type"]
    admin.ask("PUT", f"/volume/v3/types/{default['id']}", {"volume_type": {"name": _DEFAULT_TYPE}})


PLAN = running.Plan(
    name="openstackclient",
    path="openstackclient/tests/functional/volume",
    parts=("openstackclient.tests.functional.volume.v3", "openstackclient.tests.functional.volume.v2"),
    prepare=prepare,
    environment={"OS_ADMIN_CLOUD": "cyclades-admin"},
    classes_whole=False,
)

if __name__ == "__main__":
    sys.exit(running.main(PLAN, __doc__))
