"""The network, its subnet and the servers' ports, as Neutron's clients read them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.whole import Whole, whole

from cyclades.model import nics
from cyclades.model.nics import port_of, server_of
from cyclades.operations.base import new_id
from cyclades.store import servers
from cyclades.store.database import Database, Tx

BASE = "/network/v2.0"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def cloud(database: Database, tmp_path: Path) -> Iterator[Whole]:
    with whole(database, tmp_path) as made:
        yield made


@pytest.fixture
async def member(cloud: Whole) -> AsyncIterator[httpx.AsyncClient]:
    async with cloud.client(cloud.ids["project_id"]) as client:
        yield client


async def plugged(cloud: Whole, project_id: str, number: int) -> str:
    server_id = new_id()
    nic = nics.addresses(number, "a cloud")._asdict()

    def add(tx: Tx) -> None:
        servers.add(
            tx, server_id, project_id=project_id, user_id="u", name=f"s{number}", hostname="s", status="ACTIVE",
            power="running", backend="local", flavor_id="public", nics=[nic], nic_number=number,
            flavor={"id": "public", "name": "s", "vcpus": 1, "ram": 1, "disk": 1, "extra_specs": {}},
        )  # fmt: skip

    await cloud.db.write(add)
    return server_id


async def got(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(f"{BASE}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_port_leads_back_to_its_server() -> None:
    server_id = new_id()
    assert server_of(port_of(server_id)) == server_id != port_of(server_id)


async def test_the_network_and_its_subnet(member: httpx.AsyncClient) -> None:
    (network,) = (await got(member, "networks"))["networks"]
    (subnet,) = (await got(member, "subnets", network_id=network["id"]))["subnets"]
    assert network["subnets"] == [subnet["id"]]
    assert (await got(member, f"networks/{network['id']}"))["network"] == network
    assert (await got(member, f"subnets/{subnet['id']}"))["subnet"] == subnet
    assert (await got(member, "networks", name="another"))["networks"] == []
    assert (await got(member, "networks", fields=["id", "name"]))["networks"] == [
        {"id": network["id"], "name": network["name"]}
    ]
    assert (await member.get(f"{BASE}/networks/{new_id()}")).status_code == 404


async def test_the_operator_names_the_network(cloud: Whole, member: httpx.AsyncClient) -> None:
    cloud.settings.compute.network_name = "private"
    (network,) = (await got(member, "networks", name="private"))["networks"]
    (subnet,) = (await got(member, "subnets", name="private"))["subnets"]
    assert subnet["network_id"] == network["id"]
    server_id = await plugged(cloud, cloud.ids["project_id"], 1)
    server = (await member.get(f"/compute/v2.1/servers/{server_id}")).json()["server"]
    assert set(server["addresses"]) == {"private"}
    assert (await member.get(f"/compute/v2.1/servers/{server_id}/ips/private")).status_code == 200
    assert [one["label"] for one in (await member.get("/compute/v2.1/os-networks")).json()["networks"]] == ["private"]


async def test_a_server_has_a_port(cloud: Whole, member: httpx.AsyncClient) -> None:
    mine = await plugged(cloud, cloud.ids["project_id"], 1)
    theirs = await plugged(cloud, cloud.other_project, 2)
    ports = {port["device_id"]: port for port in (await got(member, "ports"))["ports"]}
    assert set(ports) == {mine, cloud.ids["server_id"]}
    port = ports[mine]
    assert port["id"] == port_of(mine)
    assert port["fixed_ips"][0]["ip_address"] == nics.addresses(1, "a cloud").address
    assert (await got(member, f"ports/{port['id']}"))["port"] == port
    for query in (
        {"device_id": mine},
        {"id": port["id"]},
        {"mac_address": port["mac_address"]},
        {"fixed_ips": f"ip_address={port['fixed_ips'][0]['ip_address']}"},
        {"device_id": [mine, theirs], "status": "ACTIVE", "admin_state_up": "True"},
    ):
        assert len((await got(member, "ports", **query))["ports"]) == 1, query
    for query in ({"device_id": theirs}, {"id": port_of(theirs)}, {"id": "none"}, {"status": "DOWN"}):
        assert (await got(member, "ports", **query))["ports"] == [], query
    for unknown in (port_of(theirs), new_id(), "none"):
        assert (await member.get(f"{BASE}/ports/{unknown}")).status_code == 404


async def test_pages_go_through_all_ports(cloud: Whole, member: httpx.AsyncClient) -> None:
    made = {port_of(await plugged(cloud, cloud.ids["project_id"], number)) for number in range(1, 6)}
    seen, answer = [], await got(member, "ports", limit=2)
    while True:
        seen += [port["id"] for port in answer["ports"]]
        if "ports_links" not in answer:
            break
        answer = (await member.get(answer["ports_links"][0]["href"])).json()
    assert len(seen) == 6
    assert set(seen) == made | {cloud.ids["port_id"]}


@pytest.mark.parametrize("name", ["security-groups", "floatingips", "routers", "extensions", "security-group-rules"])
async def test_what_is_not_there_is_an_empty_list(member: httpx.AsyncClient, name: str) -> None:
    assert await got(member, name, project_id="x", name="default") == {name.replace("-", "_"): []}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "networks"), ("POST", "floatingips"), ("DELETE", f"ports/{NOBODY}"), ("PUT", f"subnets/{NOBODY}")],
)
async def test_every_write_is_refused(cloud: Whole, member: httpx.AsyncClient, method: str, path: str) -> None:
    before = await cloud.everything()
    answer = await member.request(method, f"{BASE}/{path}", json={"network": {"name": "mine"}})
    assert answer.status_code == 403
    assert "operator's" in answer.json()["NeutronError"]["message"]
    assert await cloud.everything() == before


async def test_versions(member: httpx.AsyncClient) -> None:
    assert (await member.get("/network")).json()["versions"][0]["id"] == "v2.0"
    assert (await member.get("/network/v2.0")).status_code == 200
    bad = await member.get(f"{BASE}/ports", params={"sort_key": "nothing"})
    assert bad.status_code in (200, 400)
