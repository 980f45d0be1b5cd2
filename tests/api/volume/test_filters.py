"""Filters, sort keys, pages and counts of lists; what each is from its version on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client
from tests.api.volume.test_volumes import BASE, make

from cyclades.api.http.times import micros

Put = Callable[..., Any]
Names = Callable[..., Awaitable[list[str]]]

# µs since 1970, a day apart.
DAYS = [1_700_000_000_000_000 + i * 86_400_000_000 for i in range(4)]


@pytest.fixture
async def ids(member: Client, put: Put) -> dict[str, str]:
    """Three volumes, each unlike the others in whatever one can ask for."""
    made = {
        "one": await make(member, name="one", metadata={"for": "mail", 'odd"key': "v"}),
        "two": await make(member, name="Two", size=2, description="of many"),
        "none": await make(member, size=3),
    }
    ids = {name: str(row["id"]) for name, row in made.items()}
    one = {"status": "available", "bootable": True, "image_metadata": {"os": "linux"}, "consumes_quota": False}
    await put("volume", ids["one"], created_at=DAYS[0], updated_at=DAYS[1], **one)
    await put("volume", ids["two"], created_at=DAYS[1], updated_at=DAYS[3], migration_status="success")
    await put("volume", ids["none"], created_at=DAYS[2], updated_at=None, availability_zone="mars")
    return ids


def found(who: Client, ids: dict[str, str], path: str = "volumes") -> Names:
    by_id = {volume_id: name for name, volume_id in ids.items()}

    async def ask(**query: Any) -> list[str]:
        answer = await who.get(f"{BASE}/{path}?{urlencode(query)}")
        assert answer.status_code == 200, answer.text
        return [by_id[row["id"]] for row in answer.json()[path.split("/")[0]]]

    return ask


async def test_each_filter_of_volumes(member: Client, ids: dict[str, str]) -> None:
    for path in ("volumes", "volumes/detail"):
        ask = found(member, ids, path)
        assert await ask(name="one") == ["one"]
        assert await ask(**{"name~": "tW"}) == ["two"]
        assert await ask(**{"name~": "%"}) == []
        assert await ask(status="available") == ["one"]
        assert await ask(size=2) == ["two"]
        assert await ask(size=10**17) == []
        assert await ask(bootable="true") == ["one"]
        assert await ask(bootable="f") == ["none", "two"]
        assert await ask(availability_zone="mars") == ["none"]
        assert await ask(migration_status="success") == ["two"]
        assert await ask(migration_status="None") == ["none", "one"]
        assert await ask(group_id="11111111-2222-4333-8444-555555555555") == []
        assert await ask(metadata="{'for': 'mail'}") == ["one"]
        assert await ask(metadata='{"for": "mail"}') == ["one"]
        assert await ask(metadata='{"odd\\"key": "v"}') == ["one"]
        assert await ask(metadata='{"for": "mail", "odd\\"key": "w"}') == []
        assert await ask(metadata="{}") == ["none", "two", "one"]
        assert await ask(glance_metadata="{'os': 'linux'}") == ["one"]
        assert await ask(consumes_quota="false") == ["one"]
        assert await ask(status="available", size=2) == []


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("gt:{1}", ["none"]),
        ("gte:{1}", ["none", "two"]),
        ("lt:{1}", ["one"]),
        ("lte:{1}", ["two", "one"]),
        ("eq:{1}", ["two"]),
        ("neq:{1}", ["none", "one"]),
        ("lt:{1},gt:{1}", ["none", "one"]),
    ],
)
async def test_time_comparisons(member: Client, ids: dict[str, str], asked: str, wanted: list[str]) -> None:
    times = [micros(moment) for moment in DAYS]
    ask = found(member, ids)
    assert await ask(created_at=asked.format(*times)) == wanted
    assert await ask(created_at=asked.format(*(f"{time}Z" for time in times))) == wanted
    assert await ask(created_at=asked.format(*(f"{time}+00:00" for time in times))) == wanted
    assert await ask(updated_at="gte:" + str(times[3])) == ["two"]


@pytest.mark.parametrize(
    "query",
    [
        "bootable=perhaps",
        "consumes_quota=perhaps",
        "size=big",
        "created_at=2024-01-01",
        "created_at=about:2024-01-01",
        "created_at=gt:yesterday",
        "created_at=",
        "metadata=mail",
        "metadata={'a':1}",
        "metadata=['a']",
        "metadata=" + "[" * 200,
        "metadata=" + "[" * 5000,
        "metadata=" + "-" * 5000 + "1",
        "metadata={{}}",
        "metadata=%7B%22a%22: %22%5Cu0000%22%7D",
        "metadata=%7B%27%5Cud800%27: %27b%27%7D",
    ],
)
async def test_a_filter_that_means_nothing(member: Client, query: str) -> None:
    answer = await member.get(f"{BASE}/volumes?{query}")
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["message"]


@pytest.mark.parametrize(
    "path",
    ["volumes", "volumes/detail", "volumes/summary", "snapshots", "attachments", "messages", "volume-transfers"],
)
async def test_neither_true_nor_false(member: Client, path: str) -> None:
    for name in ("all_tenants", "with_count"):
        if name == "all_tenants" or path in ("volumes", "volumes/detail", "snapshots"):
            answer = await member.get(f"{BASE}/{path}?{name}=null")
            assert answer.status_code == 400
            assert f"{name}='null' is neither true nor false" in answer.text


async def test_an_unknown_filter_is_passed_over_until_3_31_and_then_refused(
    speaking_as: As, ids: dict[str, str]
) -> None:
    old, new = speaking_as(version="3.30"), speaking_as(version="3.31")
    for path in ("volumes", "volumes/detail", "snapshots"):
        for name in ("colour", "user_id", "display_name", "host", "name~", "with_count"):
            assert (await old.get(f"{BASE}/{path}?{name}=x")).status_code == 200, name
            answer = await new.get(f"{BASE}/{path}?{name}=x")
            assert answer.status_code == 400
            assert f"Invalid filters {name} are found" in answer.text
        assert (await new.get(f"{BASE}/{path}?all_tenants=1")).status_code == 200
    assert len(await found(old, ids)(colour="red")) == 3


async def test_an_admins_unknown_filter_finds_nothing(admin: Client, ids: dict[str, str]) -> None:
    ask = found(admin, ids)
    assert await ask(colour="red") == []
    assert len(await ask()) == 3


async def test_filters_for_admins(admin: Client, stranger: Client, ids: dict[str, str]) -> None:
    theirs = await make(stranger, name="theirs")
    ask = found(admin, ids | {"theirs": theirs["id"]})
    assert await ask(project_id=OTHER) == []
    assert await ask(project_id=OTHER, all_tenants=1) == ["theirs"]
    assert set(await ask(all_tenants=True)) == {"one", "two", "none", "theirs"}
    assert await ask(all_tenants=1, name="theirs") == ["theirs"]
    assert await ask(id=ids["two"]) == ["two"]
    assert await ask(display_name="one") == ["one"]
    assert await ask(**{"description~": "MANY"}) == ["two"]
    for host, number in (("cyclades@local#local", 3), ("cyclades@local", 3), ("cyclades", 3), ("cyclades@lake", 0),
                         ("elsewhere", 0), ("cyclades@local#lake", 0)):  # fmt: skip
        assert len(await ask(host=host)) == number, host


async def test_each_filter_of_snapshots(admin: Client, member: Client, ids: dict[str, str], put: Put) -> None:
    await put("volume", ids["none"], status="available")
    made = {}
    for name, volume, asked in (("a", "one", {"metadata": {"k": "v"}}), ("b", "none", {"description": "last"})):
        body = {"snapshot": {"volume_id": ids[volume], "name": name, **asked}}
        made[name] = (await member.post(f"{BASE}/snapshots", json=body)).json()["snapshot"]["id"]
    await put("snapshot", made["a"], status="available")
    for path in ("snapshots", "snapshots/detail"):
        ask = found(member, made, path)
        assert await ask(name="a") == ["a"]
        assert await ask(**{"name~": "B"}) == ["b"]
        assert await ask(status="available") == ["a"]
        assert await ask(volume_id=ids["none"]) == ["b"]
        assert await ask(metadata="{'k': 'v'}") == ["a"]
        assert await ask(availability_zone="mars") == ["b"]
        assert await ask(consumes_quota="true") == ["b", "a"]
        assert await ask(consumes_quota="false") == []
    ask = found(admin, made, "snapshots")
    assert await ask(host="cyclades@local", volume_size=3) == ["b"]


async def test_sort_keys(member: Client, speaking_as: As, ids: dict[str, str]) -> None:
    ask = found(member, ids)
    assert await ask(sort="name:asc") == ["none", "two", "one"]
    assert await ask(sort="display_name:desc") == ["one", "two", "none"]
    assert await ask(sort_key="size", sort_dir="asc") == ["one", "two", "none"]
    assert await ask(sort_key="created_at") == ["none", "two", "one"]
    assert await ask(sort="updated_at:desc") == ["two", "one", "none"]
    snapshots = f"{BASE}/snapshots?sort_dir=asc&sort_key="
    assert (await speaking_as(version="3.29").get(f"{snapshots}name")).status_code == 400
    assert (await speaking_as(version="3.29").get(f"{snapshots}display_name")).status_code == 200
    assert (await speaking_as(version="3.30").get(f"{snapshots}name")).status_code == 200


async def test_a_marker_outlives_its_row(member: Client, stranger: Client, ids: dict[str, str], put: Put) -> None:
    """Between two pages the last row of the first may be deleted, or fit the filter no more."""
    ask = found(member, ids)
    await put("volume", ids["two"], status="available")
    await put("volume", ids["none"], status="error")
    assert await ask(status="available", marker=ids["none"]) == ["two", "one"]
    await put("volume", ids["none"], status="deleted", deleted_at=1)
    assert await ask(marker=ids["none"], limit=1) == ["two"]
    assert (await stranger.get(f"{BASE}/volumes?marker={ids['none']}")).status_code == 404


async def test_counts(member: Client, speaking_as: As, ids: dict[str, str]) -> None:
    for path in ("volumes", "volumes/detail"):
        answer = (await member.get(f"{BASE}/{path}?with_count=true&limit=1&bootable=false")).json()
        assert (len(answer["volumes"]), answer["count"]) == (1, 2)
    assert (await member.get(f"{BASE}/snapshots?with_count=True")).json()["count"] == 0
    assert (await speaking_as(version="3.44").get(f"{BASE}/volumes?with_count=true")).status_code == 400


async def test_bootable_before_3_2(speaking_as: As, ids: dict[str, str]) -> None:
    ask = found(speaking_as(version="3.1"), ids)
    assert await ask(bootable="perhaps") == ["one"]
    assert await ask(bootable="FALSE") == ["none", "two"]
    assert (await speaking_as(version="3.2").get(f"{BASE}/volumes?bootable=perhaps")).status_code == 400


async def test_resource_filters_tell_what_lists_take(member: Client, speaking_as: As, ids: dict[str, str]) -> None:
    every = {row["resource"]: row["filters"] for row in
             (await member.get(f"{BASE}/resource_filters")).json()["resource_filters"]}  # fmt: skip
    assert {"volume", "snapshot", "attachment", "message", "pool", "volume_type"} <= set(every)
    assert {"name", "name~", "metadata", "created_at", "consumes_quota"} <= set(every["volume"])
    assert "project_id" not in every["volume"]
    (one,) = (await member.get(f"{BASE}/resource_filters?resource=volume")).json()["resource_filters"]
    assert one == {"resource": "volume", "filters": every["volume"]}
    assert (await member.get(f"{BASE}/resource_filters?resource=tape")).json() == {"resource_filters": []}
    (old,) = (await speaking_as(version="3.33").get(f"{BASE}/resource_filters?resource=volume")).json()[
        "resource_filters"
    ]
    assert "name~" not in old["filters"]
    assert (await speaking_as(version="3.32").get(f"{BASE}/resource_filters")).status_code == 404
    # Each of them is taken, whatever its value means.
    for path, resource in (("volumes", "volume"), ("snapshots", "snapshot"), ("types", "volume_type")):
        for name in every[resource]:
            answer = await member.get(f"{BASE}/{path}?{quote(name)}=1")
            assert "Invalid filters" not in answer.text, (path, name)


@pytest.mark.parametrize("project", [PROJECT, OTHER])
async def test_all_tenants_is_for_admins(speaking_as: As, project: str, ids: dict[str, str]) -> None:
    rows = (await speaking_as(project).get(f"{BASE}/volumes?all_tenants=1")).json()["volumes"]
    assert len(rows) == (3 if project == PROJECT else 0)
