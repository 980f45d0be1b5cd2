"""The clients that people use, against a real server on the loopback."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack
import pytest
import uvicorn
from keystoneauth1 import discover, session
from keystoneauth1.exceptions import Unauthorized
from keystoneauth1.identity import v3
from openstackclient.shell import OpenStackShell
from tests.api.identity.conftest import PASSWORDS, Cloud, Start
from tests.databases import make_tables

from cyclades.api.app import application
from cyclades.api.identity import SERVICES
from cyclades.config import Settings, load
from cyclades.store.database import Database


@dataclass
class Served:
    cloud: Cloud
    url: str

    def session(self, **more: Any) -> Any:
        """One of keystoneauth's, for demo."""
        who = {"username": "demo", "password": PASSWORDS["demo"], "user_domain_name": "Default", **more}
        return session.Session(v3.Password(auth_url=self.url, **who))

    async def openstack(self, *words: str, user: str = "admin") -> Any:
        """What one command prints, as JSON where it can."""
        options = {
            "auth-url": self.url,
            "username": user,
            "password": PASSWORDS[user],
            "project-name": user,
            "user-domain-name": "Default",
            "project-domain-name": "Default",
            "identity-api-version": "3",
        }
        return await asyncio.to_thread(_command, [f"--os-{key}={value}" for key, value in options.items()], words)


def _command(options: list[str], words: tuple[str, ...]) -> Any:
    """In this process, since to start the client takes seconds."""
    shell, out = OpenStackShell(), io.StringIO()
    shell.stdout = out
    assert shell.run([*options, *words]) == 0, words
    return json.loads(out.getvalue()) if "json" in words else out.getvalue()


@asynccontextmanager
async def _serving(cloud: Cloud, listening: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(application(SERVICES, cloud.shared), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """SQLite alone: clients do not see the difference, and they are slow."""
    made = Database(f"sqlite:///{tmp_path / 'cyclades.db'}")
    make_tables(made.engine)
    yield made
    made.close()


@pytest.fixture
def listening() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


@pytest.fixture
def settings(tmp_path: Path, listening: socket.socket) -> Settings:
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    return load(None, {}, data=str(tmp_path), identity__hash_memory=64, api__public_url=url)


@pytest.fixture(params=["/identity", "/identity/v3"])
def auth_path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def served(start: Start, settings: Settings, listening: socket.socket, auth_path: str) -> AsyncIterator[Served]:
    cloud = await start()
    async with _serving(cloud, listening):
        yield Served(cloud, settings.public_url + auth_path)


async def test_keystoneauth(served: Served) -> None:
    def talk() -> None:
        scoped = served.session(project_name="demo", project_domain_name="Default")
        assert scoped.get_endpoint(service_type="block-storage").endswith("/volume/v3")
        assert scoped.get_endpoint(service_type="volumev3").endswith(f"/volume/v3/{scoped.get_project_id()}")
        assert scoped.get_endpoint(service_type="compute", interface="internal", region_name="RegionOne")
        answer = scoped.get("/auth/projects", endpoint_filter={"service_type": "identity", "version": "3"})
        assert [project["name"] for project in answer.json()["projects"]] == ["demo"]
        unscoped = served.session(unscoped=True)
        assert unscoped.get_project_id() is None
        again = v3.Token(served.url, unscoped.get_token(), project_name="demo", project_domain_id="default")
        assert session.Session(again).get_project_id() == scoped.get_project_id()
        found = discover.Discover(session.Session(), served.url)
        assert str(found.url_for("3")).rstrip("/").endswith("/identity/v3")
        assert scoped.auth.invalidate()
        with pytest.raises(Unauthorized):
            served.session(password="wrong").get_token()

    await asyncio.to_thread(talk)


async def test_openstacksdk(served: Served) -> None:
    def talk() -> None:
        cloud: Any = openstack.connection.Connection(
            auth={
                "auth_url": served.url,
                "username": "admin",
                "password": PASSWORDS["admin"],
                "project_name": "admin",
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            region_name="RegionOne",
        )
        project = cloud.identity.create_project(name="lab", domain_id="default")
        user = cloud.identity.create_user(name="ada", password="x", default_project_id=project.id)
        cloud.identity.assign_project_role_to_user(project, user, cloud.identity.find_role("member"))
        assert [role.name for role in cloud.identity.roles(name="member")] == ["member"]
        assigned = cloud.identity.role_assignments_filter(project=project, user=user)
        assert [role.name for role in assigned] == ["member"]
        assert {one.name for one in cloud.identity.projects()} == {"admin", "demo", "lab"}
        assert cloud.identity.update_project(project, description="of Ada's").description == "of Ada's"
        assert {service.type for service in cloud.identity.services()} >= {"identity", "compute"}
        cloud.identity.delete_user(user)
        cloud.identity.delete_project(project)
        assert cloud.identity.find_user("ada") is None

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("auth_path", ["/identity/v3"], indirect=True)
async def test_openstack_commands(served: Served) -> None:
    run = served.openstack
    made = await run("project", "create", "lab", "--description", "Ada's", "-f", "json")
    assert (made["name"], made["enabled"], made["domain_id"]) == ("lab", True, "default")
    user = await run("user", "create", "ada", "--project", "lab", "--password", "x", "-f", "json")
    assert user["default_project_id"] == made["id"]
    await run("role", "add", "--user", "ada", "--project", "lab", "member")
    assigned = await run("role", "assignment", "list", "--user", "ada", "--names", "-f", "json")
    assert [(one["Role"], one["User"], one["Project"]) for one in assigned] == [
        ("member", "ada@Default", "lab@Default")
    ]
    assert {one["Name"] for one in await run("project", "list", "-f", "json")} == {"admin", "demo", "lab"}
    assert {one["Name"] for one in await run("catalog", "list", "-f", "json")} == {
        "keystone", "glance", "cinder", "nova", "neutron", "cyclades",
    }  # fmt: skip
    own = await run("project", "list", "-f", "json", user="demo")
    assert [one["Name"] for one in own] == ["demo"]
    token = await run("token", "issue", "-f", "json", user="demo")
    await run("token", "revoke", token["id"], user="demo")
    assert not await served.cloud.works(token["id"])
    await run("role", "remove", "--user", "ada", "--project", "lab", "member")
    await run("user", "delete", "ada")
    await run("project", "delete", "lab")
