"""Tempest, OpenStack's own tests of its APIs, against a cloud of our own: `make test-tempest`.

Starts a cloud in a temporary directory, gives it two images, runs the tests of the Block Storage, Identity, Image and
Compute APIs that are not in left_out.toml, and says of each part how many passed, failed and were skipped. Fails if a
test failed, if one skipped itself that the list does not have, or if the list has a test that Tempest has not.
"""

from __future__ import annotations

import json
import sys

from tests.conformance import running, tempest_settings

_COMPUTE = tuple(
    f"tempest.api.compute.{name}" for name in ("volumes", "servers", "flavors", "keypairs", "images", "limits", "admin")
)
PLAN = running.Plan(
    name="tempest",
    path="tempest/test_discover",
    parts=("tempest.api.volume", "tempest.api.identity", "tempest.api.image", *_COMPUTE, "tempest.api.compute"),
    prepare=tempest_settings.write,
    environment={"TEMPEST_CONFIG_DIR": "{workspace}"},
    settings={"CYCLADES_POOLS": json.dumps([{"name": name} for name in tempest_settings.POOLS])},
)

if __name__ == "__main__":
    sys.exit(running.main(PLAN, __doc__))
