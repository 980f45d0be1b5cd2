"""The openstack command's own functional tests of volumes and servers against a cloud of our own: part of
`make test-clients`.

Fails as `run_tempest` does.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.clouds import Cloud
from tests.conformance import guests, running

_DEFAULT_TYPE = "lvmdriver-1"  # DevStack's, which a test looks for
_NETWORK = "private"  # DevStack's
_IMAGE = "cirros-guest-disk"  # the tests look for a name like this
# Two tests make a flavor of the same id, and those of servers take the newest of all servers for their own.
_TOGETHER = r".*\.compute\.v2\."


def prepare(workspace: Path, cloud: Cloud) -> None:
    shutil.copy(cloud.data / "clouds.yaml", workspace / "clouds.yaml")  # the command looks for it where it runs
    admin = cloud.user("openrc")
    default = admin.ask("GET", "/volume/v3/types/default")["volume_type"]
    guests.image(cloud, _IMAGE)
    admin.ask("PUT", f"/volume/v3/types/{default['id']}", {"volume_type": {"name": _DEFAULT_TYPE}})


PLAN = running.Plan(
    name="openstackclient",
    path="openstackclient/tests/functional",
    parts=tuple(f"openstackclient.tests.functional.{name}" for name in ("volume.v3", "volume.v2", "compute.v2")),
    prepare=prepare,
    environment={"OS_ADMIN_CLOUD": "cyclades-admin"},
    settings={"CYCLADES_COMPUTE_NETWORK_NAME": _NETWORK},
    together=_TOGETHER,
)

if __name__ == "__main__":
    sys.exit(running.main(PLAN, __doc__))
