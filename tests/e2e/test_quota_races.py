"""64 clients over HTTP against a quota that admits 10: 20 times, or a sample of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests import crash_cases
from tests.clouds import Cloud, User
from tests.processes import LIMIT, command, wait_until

CLIENTS = 64
ADMITTED = 10
GONE = 404
# How many times each is raced for. Servers are QEMUs, which take their time.
TIMES = {"volumes": 5, "gigabytes": 5, "snapshots": 5, "instances": 3, "cores": 2}
RACES = [resource for resource, times in TIMES.items() for _ in range(times)]
SAMPLE = 3
COMPUTE = ("instances", "cores")


@dataclass(frozen=True)
class Wanted:
    """What is posted at `path`, `each` of the resource; `refused` is the status of a refusal."""

    path: str
    body: dict[str, Any]
    each: int
    refused: int


@pytest.fixture
def parent(demo: User) -> Iterator[str]:
    """A volume for snapshots."""
    volume_id = demo.new_volume()
    yield volume_id
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")


@pytest.fixture
def wanted(demo: User, parent: str, blank_image: str, resource: str) -> Wanted:
    if resource in COMPUTE:
        flavors = demo.ask("GET", "/compute/v2.1/flavors/detail")["flavors"]
        flavor = min(flavors, key=lambda one: (one["ram"], one["vcpus"]))
        body = {"name": "racer", "imageRef": blank_image, "flavorRef": flavor["id"]}
        each = flavor["vcpus"] if resource == "cores" else 1
        return Wanted("/compute/v2.1/servers", {"server": body}, each, 403)
    if resource == "snapshots":
        return Wanted("/volume/v3/snapshots", {"snapshot": {"volume_id": parent}}, 1, 413)
    size = 2 if resource == "gigabytes" else 1
    return Wanted("/volume/v3/volumes", {"volume": {"size": size}}, size, 413)


class Quota:
    """Of `demo`, of one resource."""

    def __init__(self, admin: User, resource: str) -> None:
        self._admin, self._resource = admin, resource
        projects = admin.ask("GET", "/identity/v3/projects")["projects"]
        project_id = next(project["id"] for project in projects if project["name"] == "demo")
        service = "/compute/v2.1" if resource in COMPUTE else "/volume/v3"
        self._path = f"{service}/os-quota-sets/{project_id}"
        self._usage = f"{self._path}/detail" if resource in COMPUTE else f"{self._path}?usage=true"

    def used(self) -> int:
        return int(self._admin.ask("GET", self._usage)["quota_set"][self._resource]["in_use"])

    def limit(self, most: int) -> None:
        self._admin.ask("PUT", self._path, {"quota_set": {self._resource: most}})

    def no_limit(self) -> None:
        self._admin.ask("DELETE", self._path)


@pytest.fixture
def quota(cloud: Cloud, resource: str) -> Iterator[Quota]:
    found = Quota(cloud.user("openrc"), resource)
    yield found
    found.no_limit()


@pytest.mark.parametrize("resource", [RACES[number] for number in crash_cases.some(len(RACES), SAMPLE, "quota races")])
def test_exactly_as_many_as_the_quota_admits(
    cloud: Cloud, demo: User, wanted: Wanted, quota: Quota, resource: str
) -> None:
    before = quota.used()
    # What the last one leaves over is not enough for another.
    quota.limit(before + ADMITTED * wanted.each + wanted.each - 1)
    answers = _race(cloud, demo, wanted)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [*[202] * ADMITTED, *[wanted.refused] * (CLIENTS - ADMITTED)]
    assert quota.used() == before + ADMITTED * wanted.each
    made = [next(iter(answer.json().values()))["id"] for answer in answers if answer.is_success]
    _until_settled(cloud)
    for one in made:
        demo.ask("DELETE", f"{wanted.path}/{one}")
    _until_settled(cloud)
    assert {demo.request("GET", f"{wanted.path}/{one}").status_code for one in made} == {GONE}
    assert quota.used() == before


def _race(cloud: Cloud, demo: User, wanted: Wanted) -> list[httpx.Response]:
    """All clients have their connections before the first asks for anything."""
    clients = [httpx.Client(base_url=cloud.url, timeout=LIMIT) for _ in range(CLIENTS)]
    try:
        with ThreadPoolExecutor(CLIENTS) as at_once:
            list(at_once.map(lambda client: client.get("/"), clients))
            headers = {"X-Auth-Token": demo.token}
            return list(at_once.map(lambda one: one.post(wanted.path, json=wanted.body, headers=headers), clients))
    finally:
        for client in clients:
            client.close()


def _until_settled(cloud: Cloud) -> None:
    """Wait until no operation is at work; the quotas then say what there is."""

    def checked() -> bool:
        done = command("quota-check", "--data", str(cloud.data))
        assert done.returncode == 0, done.stdout + done.stderr
        return "Left out" not in done.stderr

    wait_until("nothing is under way", checked)
