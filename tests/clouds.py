"""A running cloud as its users reach it: over HTTP with the credentials that it wrote, and over ssh into guests."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
from tests.processes import LIMIT, Process, end_guests, free_address, wait_until

SSH_PORT = 2222  # of a server's address on this machine
KEY = "mine"


class User:
    """Speaks for the user of an `openrc` file. `url` is another process of the cloud than the file names."""

    def __init__(self, openrc: Path, *, url: str | None = None, verify: ssl.SSLContext | bool = True) -> None:
        lines = openrc.read_text().splitlines()
        self._variables = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        url = url or self._variables["OS_AUTH_URL"].removesuffix("/identity/v3")
        self._http = httpx.Client(base_url=url, verify=verify, timeout=LIMIT)
        self.token, self.catalog = self._login()

    def _login(self) -> tuple[str, list[dict[str, Any]]]:
        given, default = self._variables, {"id": "default"}
        user = {"name": given["OS_USERNAME"], "password": given["OS_PASSWORD"], "domain": default}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": given["OS_PROJECT_NAME"], "domain": default}}
        body = {"auth": {"identity": identity, "scope": scope}}
        answer = self._http.post("/identity/v3/auth/tokens", json=body)
        assert answer.status_code == 201, answer.text
        return answer.headers["x-subject-token"], answer.json()["token"]["catalog"]

    @property
    def password(self) -> str:
        return self._variables["OS_PASSWORD"]

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        return self._http.request(method, path, json=body, headers=headers, **more)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """What is answered to a request that is accepted."""
        answer = self.request(method, path, body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    # --- volumes ----------------------------------------------------------------------------------

    def make_volume(self, *, size: int = 1, **values: Any) -> str:
        """Returns its id as soon as it is accepted."""
        asked = {"size": size, **values}
        return str(self.ask("POST", "/volume/v3/volumes", {"volume": asked})["volume"]["id"])

    def volume(self, volume_id: str) -> Any:
        return self.ask("GET", f"/volume/v3/volumes/{volume_id}")["volume"]

    def until_volume(self, volume_id: str, status: str) -> Any:
        """Wait until it has this status; a status in which it would stay ends the wait."""
        wait_until(f"volume {volume_id} ends", lambda: not self.volume(volume_id)["status"].endswith("ing"))
        found = self.volume(volume_id)
        assert found["status"] == status, found
        return found

    def new_volume(self, *, size: int = 1) -> str:
        volume_id = self.make_volume(size=size)
        self.until_volume(volume_id, "available")
        return volume_id

    # --- images -----------------------------------------------------------------------------------

    def new_image(self, content: bytes, disk_format: str) -> str:
        asked = {"name": "of the test", "disk_format": disk_format, "container_format": "bare"}
        image_id = str(self.ask("POST", "/image/v2/images", asked)["id"])
        headers = {"Content-Type": "application/octet-stream"}
        self.ask("PUT", f"/image/v2/images/{image_id}/file", content=content, headers=headers)
        return image_id

    # --- servers ----------------------------------------------------------------------------------

    def make_server(self, image_id: str, *, flavor: str = "m1.nano", **values: Any) -> str:
        """Returns its id as soon as it is accepted."""
        flavors = self.ask("GET", "/compute/v2.1/flavors")["flavors"]
        ids = {one["name"]: one["id"] for one in flavors}
        asked = {"name": "of-the-test", "imageRef": image_id, "flavorRef": ids[flavor], **values}
        return str(self.ask("POST", "/compute/v2.1/servers", {"server": asked})["server"]["id"])

    def server(self, server_id: str) -> Any:
        return self.ask("GET", f"/compute/v2.1/servers/{server_id}")["server"]

    def until_server(self, server_id: str, status: str) -> Any:
        def met() -> Any:
            found = self.server(server_id)
            assert found["status"] in (status, "BUILD", "ACTIVE", "SHUTOFF"), found
            return found if found["status"] == status and found["OS-EXT-STS:task_state"] is None else None

        return wait_until(f"server {server_id} is {status}", met)

    def new_server(self, image_id: str, **values: Any) -> str:
        server_id = self.make_server(image_id, **values)
        self.until_server(server_id, "ACTIVE")
        return server_id

    def ask_to_attach(self, server_id: str, volume_id: str) -> None:
        body = {"volumeAttachment": {"volumeId": volume_id}}
        self.ask("POST", f"/compute/v2.1/servers/{server_id}/os-volume_attachments", body)

    def attach(self, server_id: str, volume_id: str) -> None:
        self.ask_to_attach(server_id, volume_id)
        self.until_volume(volume_id, "in-use")

    def ask_to_detach(self, server_id: str, volume_id: str) -> None:
        self.ask("DELETE", f"/compute/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}")

    def detach(self, server_id: str, volume_id: str) -> None:
        self.ask_to_detach(server_id, volume_id)
        self.until_volume(volume_id, "available")

    def act(self, server_id: str, action: str, values: Any = None) -> None:
        self.ask("POST", f"/compute/v2.1/servers/{server_id}/action", {action: values})

    def delete_server(self, server_id: str) -> None:
        self.ask("DELETE", f"/compute/v2.1/servers/{server_id}")
        path = f"/compute/v2.1/servers/{server_id}"
        wait_until(f"server {server_id} is gone", lambda: self.request("GET", path).status_code == 404)

    def address(self, server_id: str, kind: str) -> str:
        """Of a server: `fixed` is the guest's own, `floating` the one on this machine that leads to its sshd."""
        nics = [nic for network in self.server(server_id)["addresses"].values() for nic in network]
        return next(str(nic["addr"]) for nic in nics if nic["OS-EXT-IPS:type"] == kind)


class Cloud:
    """A cloud of one process (`cyclades up`) in `data`, at an address of its own."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.host, self.port = free_address()
        self.url = f"http://{self.host}:{self.port}"
        self._settings = settings
        self.process: Process | None = None
        self._users: list[User] = []

    def start(self) -> None:
        """Start it, for the first time or again, unless it runs; returns when it is ready."""
        if self.process is not None and self.process.runs:
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        words = ("up", "--data", self.data, "--host", self.host, "--port", str(self.port))
        self.process = Process(self.data.with_suffix(".log"), *words, **self._settings)
        assert self.url in self.process.ready()

    def stop(self) -> None:
        assert self.process is not None
        assert self.process.stop() == 0, self.process.log()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def user(self, openrc: str = "openrc-demo") -> User:
        user = User(self.data / openrc)
        self._users.append(user)
        return user

    def end(self) -> None:
        """Of the test, and of everything that it started."""
        for user in self._users:
            user.close()
        if self.process is not None:
            self.process.kill()
        end_guests(self.data)


class Guest:
    """The small guest (guest/README.md) of a server, over ssh as root."""

    def __init__(self, address: str, key: Path) -> None:
        self._address, self._key = address, key

    def until_up(self) -> None:
        wait_until(f"the guest at {self._address} answers", lambda: self._ssh("true").returncode == 0)

    def run(self, command: str) -> str:
        """What a shell command in the guest prints."""
        done = self._ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def _ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        words = ["ssh", "-F", "none", "-p", str(SSH_PORT), "-i", str(self._key), "-o", "ConnectTimeout=20"]
        words += [word for option in options for word in ("-o", option)]
        words += [f"root@{self._address}", command]
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT,
            check=False,
        )
