"""Each rule and field of `since.py` appears exactly from its version on: not in the version before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.probes import Case, Probes
from tests.api.volume.conftest import OTHER, PROJECT, As, Client
from tests.api.volume.test_volumes import BASE, NOBODY, make

from cyclades.api.http.versions import Version
from cyclades.api.volume import since
from cyclades.api.volume.service import VERSIONS
from cyclades.store import pools, services
from cyclades.store.database import Database, Tx
from cyclades.store.schema import message

Put = Callable[..., Any]

_probes = Probes(BASE)
_has, _value, _number, _code, _says = _probes.has, _probes.value, _probes.number, _probes.code, _probes.says


async def _etag(who: Client, ids: dict[str, str]) -> bool:
    return "etag" in (await who.get(f"{BASE}/volumes/{ids['volume']}/metadata")).headers


async def _lost_update(who: Client, ids: dict[str, str]) -> int:
    path = f"{BASE}/volumes/{ids['volume']}/metadata"
    return (await who.put(path, json={"metadata": {"k": "v"}}, headers={"If-Match": '"old"'})).status_code


ACTION = "volumes/{volume}/action"
SNAPSHOT = {"snapshot": {"volume_id": "{used}"}}
CASES = [
    Case(since.UPLOAD_VISIBILITY, "upload visibility", _code(
        "POST", ACTION, {"os-volume_upload_image": {"image_name": "i", "protected": False}}), 400, 202),
    Case(since.BOOTABLE_FILTER_STRICT, "bootable strict", _code("GET", "volumes?bootable=perhaps"), 200, 400),
    Case(since.MESSAGES, "messages", _code("GET", "messages"), 404, 200),
    Case(since.GLANCE_METADATA_FILTER, "glance_metadata", _number("volumes?glance_metadata={{'os':'x'}}"), 2, 0),
    Case(since.MESSAGE_PAGES, "message pages", _code("GET", "messages?sort=colour"), 200, 400),
    Case(since.SERVICE_CLUSTER, "service cluster", _has("os-services", "services", "0", "cluster"), False, True),
    Case(since.MANAGEABLE, "manageable", _code("POST", "manageable_volumes", {}), 404, 400),
    Case(since.GROUP_ID_FILTER, "group_id filter", _number("volumes?group_id=x"), 2, 0),
    Case(since.SUMMARY, "summary", _code("GET", "volumes/summary"), 404, 200),
    Case(since.VOLUME_GROUP_ID, "group_id", _has("volumes/{volume}", "volume", "group_id"), False, True),
    Case(since.SNAPSHOT_GROUP_SNAPSHOT_ID, "group_snapshot_id", _has(
        "snapshots/{snapshot}", "snapshot", "group_snapshot_id"), False, True),
    Case(since.METADATA_ETAG, "etag", _etag, False, True),
    Case(since.METADATA_ETAG, "if-match", _lost_update, 200, 412),
    Case(since.MANAGE_IN_CLUSTER, "manage in a cluster", _says(
        "POST", "manageable_volumes", {"volume": {"cluster": "c", "ref": {"source-name": "x"}}},
        "'cluster' was unexpected"), True, False),
    Case(since.VOLUME_PROVIDER_ID, "provider_id", _has("volumes/{volume}", "volume", "provider_id"), False, True),
    Case(since.SNAPSHOT_METADATA_FILTER, "snapshot metadata", _number("snapshots?metadata={{'k':'none'}}"), 1, 0),
    Case(since.DELETE_FORCE, "delete by force", _code("DELETE", "volumes/{used}?force=true"), 400, 202),
    Case(since.ATTACHMENTS, "attachments", _code("GET", "attachments"), 404, 200),
    Case(since.POOL_NAME_FILTER, "pool name", _number("scheduler-stats/get_pools?name=x", "pools"), 1, 0),
    Case(since.SNAPSHOT_SORT_BY_NAME, "snapshots by name", _code("GET", "snapshots?sort=name"), 400, 200),
    Case(since.UNKNOWN_FILTERS_REFUSED, "unknown filters", _code("GET", "volumes?colour=red"), 200, 400, "member"),
    Case(since.RESOURCE_FILTERS, "resource filters", _code("GET", "resource_filters"), 404, 200),
    Case(since.NAME_FILTER_LIKE, "name~", _number("volumes?name~=nothing"), 2, 0),
    Case(since.NAME_FILTER_LIKE, "name~ of snapshots", _number("snapshots?name~=nothing"), 1, 0),
    Case(since.POOL_TYPE_FILTER, "pool type", _code(
        "GET", "scheduler-stats/get_pools?volume_type=golden"), 200, 404),
    Case(since.SUMMARY_METADATA, "summary's metadata", _has(
        "volumes/summary", "volume-summary", "metadata"), False, True),
    Case(since.LIMITS_OF_A_PROJECT, "limits of a project", _value(
        f"limits?project_id={OTHER}", "limits", "absolute", "totalVolumesUsed"), 2, 0),
    Case(since.REVERT, "revert", _code("POST", ACTION, {"revert": {"snapshot_id": NOBODY}}), 404, 400),
    Case(since.SNAPSHOT_USER_ID, "snapshot's user", _has("snapshots/{snapshot}", "snapshot", "user_id"), False, True),
    Case(since.EXTEND_IN_USE, "extend in use", _code(
        "POST", "volumes/{used}/action", {"os-extend": {"new_size": 2}}), 400, 202),
    Case(since.ATTACHMENT_COMPLETE, "complete", _says(
        "POST", f"attachments/{NOBODY}/action", {"os-complete": {}}, NOBODY), False, True),
    Case(since.LIST_COUNT, "count", _has("volumes?with_count=true", "count"), False, True),
    Case(since.VOLUME_SHARED_TARGETS, "shared_targets", _has("volumes/{volume}", "volume", "shared_targets"), False,
         True),
    Case(since.VOLUME_SHARED_TARGETS, "service_uuid", _has("volumes/{volume}", "volume", "service_uuid"), False, True),
    Case(since.SERVICE_BACKEND_STATE, "backend_state", _has(
        "os-services?binary=cinder-volume", "services", "0", "backend_state"), False, True),
    Case(since.TYPE_EXTRA_SPECS_FILTER, "extra_specs filter", _number(
        "types?extra_specs={{'a':'b'}}", "volume_types"), 1, 0),
    Case(since.UNKNOWN_FIELDS_REFUSED, "unknown fields", _code(
        "POST", "volumes", {"volume": {"size": 1, "colour": "red"}}), 202, 400),
    Case(since.UNKNOWN_FIELDS_REFUSED, "empty update", _code("PUT", "volumes/{volume}", {"volume": {}}), 200, 400),
    Case(since.ATTACHMENT_MODE, "attachment's mode", _code(
        "POST", "attachments", {"attachment": {"volume_uuid": "{volume}", "instance_uuid": NOBODY, "mode": "ro"}}),
        400, 200),
    Case(since.TRANSFERS_WITH_SNAPSHOTS, "volume-transfers", _code("GET", "volume-transfers"), 404, 200),
    Case(since.TRANSFERS_WITH_SNAPSHOTS, "no_snapshots", _code(
        "POST", "os-volume-transfer", {"transfer": {"volume_id": NOBODY, "no_snapshots": True}}), 400, 404),
    Case(since.TRANSFER_HISTORY, "transfer's projects", _has(
        "volume-transfers/{transfer}", "transfer", "source_project_id"), False, True),
    Case(since.TRANSFER_PAGES, "transfer pages", _code("GET", "volume-transfers?sort=colour"), 200, 400),
    Case(since.TIME_FILTERS, "created_at", _number("volumes?created_at=lt:2000-01-01"), 2, 0),
    Case(since.VOLUME_CLUSTER_NAME, "cluster_name", _has("volumes/{volume}", "volume", "cluster_name"), False, True),
    Case(since.DEFAULT_TYPES, "default types", _code("GET", "default-types"), 404, 200),
    Case(since.VOLUME_TYPE_ID, "volume_type_id", _has("volumes/{volume}", "volume", "volume_type_id"), False, True),
    Case(since.CONSUMES_QUOTA, "consumes_quota", _has("volumes/{volume}", "volume", "consumes_quota"), False, True),
    Case(since.CONSUMES_QUOTA, "snapshot's consumes_quota", _has(
        "snapshots/{snapshot}", "snapshot", "consumes_quota"), False, True),
    Case(since.CONSUMES_QUOTA, "consumes_quota filter", _number("snapshots?consumes_quota=false"), 1, 0),
    Case(since.SNAPSHOT_IN_USE_WITHOUT_FORCE, "snapshot in use", _code("POST", "snapshots", SNAPSHOT), 400, 202),
    Case(since.REIMAGE, "reimage", _code("POST", ACTION, {"os-reimage": {}}), 404, 400),
    Case(since.SHARED_TARGETS_MAY_BE_NULL, "shared_targets null", _value(
        "volumes/{volume}", "volume", "shared_targets"), False, None),
]  # fmt: skip


@pytest.fixture
async def ids(database: Database, member: Client, put: Put) -> dict[str, str]:
    """Two volumes, the second in use, a snapshot, messages, and what an engine wrote down."""
    volume, used = await make(member, metadata={"k": "v"}), await make(member)
    await put("volume", volume["id"], status="available")
    snapshot = (await member.post(f"{BASE}/snapshots", json={"snapshot": {"volume_id": volume["id"]}})).json()
    await put("snapshot", snapshot["snapshot"]["id"], status="available")
    await put("volume", used["id"], status="available")
    body = {"transfer": {"volume_id": used["id"]}}
    transfer = (await member.post(f"{BASE}/volume-transfers", json=body)).json()["transfer"]
    await put("volume", used["id"], status="in-use")

    def write(tx: Tx) -> None:
        services.seen(tx, "h:1:a", host="h", kind="engine", version="1")
        pools.report(tx, "local", engine="qcow2", total=1, free=1, promised=1)
        rows = [
            {"id": f"m{i}", "project_id": PROJECT, "request_id": "r", "operation": "volume_create",
             "resource_kind": "volume", "resource_id": volume["id"], "text": "t", "created_at": i, "expires_at": 2**52}
            for i in range(2)
        ]  # fmt: skip
        tx.execute(message.insert(), rows)

    await database.write(write)
    ids = {"volume": volume["id"], "used": used["id"], "transfer": transfer["id"]}
    return {**ids, "snapshot": snapshot["snapshot"]["id"]}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.version} {case.what}" for case in CASES])
async def test_it_is_there_from_its_version_on(speaking_as: As, ids: dict[str, str], case: Case) -> None:
    before = Version(case.version.major, case.version.minor - 1)
    seen = [await case.probe(speaking_as(PROJECT, case.who, version=str(v)), ids) for v in (before, case.version)]
    assert seen == [case.old, case.new]


def test_every_version_is_accounted_for() -> None:
    """A version changed something that we have, and then a case proves it, or it is said why it did not."""
    ours = {value for value in vars(since).values() if isinstance(value, Version)}
    proved = {case.version for case in CASES} | {VERSIONS.least}
    assert ours == proved
    assert not ours & set(since.NOT_OURS)
    every = {Version(3, minor) for minor in range(VERSIONS.most.minor + 1)}
    assert every == ours | set(since.NOT_OURS)
