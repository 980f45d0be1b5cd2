"""What a list of servers is narrowed to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.api.compute.conftest import BASE, As, Client, Put

from cyclades.api.compute.patterns import Pattern
from cyclades.api.http.times import micros
from cyclades.model.errors import Invalid

New = Callable[..., Awaitable[str]]


async def names(client: Client, query: str) -> list[str]:
    answer = await client.get(f"{BASE}/servers?{query}")
    assert answer.status_code == 200, answer.text
    return sorted(one["name"] for one in answer.json()["servers"])


@pytest.fixture
async def three(new_server: New, put: Put) -> dict[str, str]:
    """Servers' ids by their names; the last one is off."""
    ids = {
        "web-1": await new_server(name="web-1", tags=["red", "new"], key_name=None),
        "web-2": await new_server(name="web-2", tags=["red"]),
        "db": await new_server(name="db", tags=["green"], description="kept"),
    }
    await put("server", ids["db"], status="SHUTOFF", power="stopped", created_at=1_000_000_000)
    return ids


@pytest.fixture
async def new_server(new_server: New) -> New:  # what the other tests do not say
    async def add(**asked: object) -> str:
        return await new_server(**{name: value for name, value in asked.items() if value is not None})

    return add


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=web", ["web-1", "web-2"]),
        ("name=%5Eweb%5C-2%24", ["web-2"]),
        ("name=%5Ew.%2B-[0-9]%2B%24", ["web-1", "web-2"]),
        ("name=%5E(db|web-1)%24", ["db", "web-1"]),
        ("name=.", ["db", "web-1", "web-2"]),
        ("name=nothing.*", []),
        ("tags=red", ["web-1", "web-2"]),
        ("tags=red,new", ["web-1"]),
        ("tags-any=new,green", ["db", "web-1"]),
        ("not-tags=red,new", ["db", "web-2"]),
        ("not-tags-any=new,green", ["web-2"]),
        ("tags=red&not-tags=new", ["web-2"]),
        ("tags=re", []),
        ("status=shutoff", ["db"]),
        ("status=ACTIVE&status=SHUTOFF", ["db", "web-1", "web-2"]),
        ("vm_state=stopped", ["db"]),
        ("power_state=4", ["db"]),
        ("power_state=1", ["web-1", "web-2"]),
        ("progress=0", ["db", "web-1", "web-2"]),
        ("progress=5", []),
        ("config_drive=false", ["db", "web-1", "web-2"]),
        ("availability_zone=mars", []),
        (f"created_at={micros(1_000_000_000)}", ["db"]),
        ("ip6=fe80", []),
        ("ip=10.6", ["db", "web-1", "web-2"]),
        ("ip=%5E10.6", ["db", "web-1", "web-2"]),
        ("ip=%5E127%5C.", ["db", "web-1", "web-2"]),
        ("ip=0.6", ["db", "web-1", "web-2"]),
        ("ip=%5E0.6", []),
        ("ip=%5E9", []),
        ("flavor=1", ["db", "web-1", "web-2"]),
        ("flavor=9", []),
        ("sort_key=display_name&sort_key=uuid&sort_dir=asc", ["db", "web-1", "web-2"]),
    ],
)  # fmt: skip
async def test_filters(member: Client, three: dict[str, str], query: str, found: list[str]) -> None:
    assert await names(member, query) == found


async def test_changes_are_found_by_the_times_that_were_shown(member: Client, three: dict[str, str], put: Put) -> None:
    for number, server_id in enumerate(three.values(), start=1):
        await put("server", server_id, updated_at=number * 1_000_000 + 500_000)
    shown = {one["name"]: one["updated"] for one in (await member.get(f"{BASE}/servers/detail")).json()["servers"]}
    query = f"changes-since={shown['web-2']}&changes-before={shown['web-2']}"
    assert await names(member, query) == ["web-2"]
    assert await names(member, f"changes-before={shown['web-2']}") == ["web-1", "web-2"]


@pytest.mark.parametrize(
    "query",
    ["colour=red", "status=asleep", "name=(", "name=a{9999}{9999}", f"name={'x' * 256}", "changes-since=yesterday",
     "limit=few", "sort_key=colour"],
)  # fmt: skip
async def test_what_is_refused(member: Client, query: str) -> None:
    assert (await member.get(f"{BASE}/servers?{query}")).status_code == 400


@pytest.mark.parametrize("query", ["all_tenants=maybe", "deleted=2"])
async def test_what_is_neither_true_nor_false_is_refused(admin: Client, query: str) -> None:
    answer = await admin.get(f"{BASE}/servers?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["badRequest"]["message"]


async def test_servers_that_were_deleted(member: Client, admin: Client, three: dict[str, str], put: Put) -> None:
    await put("server", three["db"], status="DELETED", deleted_at=2_000_000_000, updated_at=2_000_000_000)
    assert await names(member, "") == ["web-1", "web-2"]
    assert await names(member, "deleted=true") == ["web-1", "web-2"]
    assert await names(member, "changes-since=1970-01-01T00:00:00Z") == ["db", "web-1", "web-2"]
    assert (await member.get(f"{BASE}/servers?status=DELETED")).status_code == 403
    assert await names(admin, "status=DELETED") == ["db"]
    assert await names(admin, "deleted=true") == ["db"]
    assert await names(admin, "deleted=false&changes-since=1970-01-01T00:00:00Z") == ["web-1", "web-2"]


async def test_filters_of_admins(speaking_as: As, admin: Client, three: dict[str, str]) -> None:
    assert await names(speaking_as(version="2.74"), "host=elsewhere") == ["db", "web-1", "web-2"]
    assert await names(admin, "host=elsewhere") == []
    assert await names(admin, "host=local&all_tenants=1") == ["db", "web-1", "web-2"]
    assert await names(admin, "description=kep") == ["db"]
    assert await names(admin, f"instance_name={three['db']}") == ["db"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("web", "web"), ("a\\.b", "a.b"), ("a\\-b_c d", "a-b_c d"), ("a.b", None), ("\\d", None), ("a\\", None)],
)
def test_a_pattern_that_is_plain(text: str, plain: str | None) -> None:
    if text.endswith("\\"):
        with pytest.raises(Invalid):
            Pattern(text)
    else:
        assert Pattern(text).plain == plain


def test_a_pattern_that_others_take_forever_for() -> None:
    assert not Pattern("(a+)+b$").matches("a" * 255)
