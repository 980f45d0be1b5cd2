"""A cell's RAPI, as plainly as HTTP allows: what tests do behind the back of Cyclades, or look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tests.ganeti.cell import Cell
from tests.ganeti.node import LIMIT
from tests.processes import wait_until


class Rapi:
    """Paths are those below `/2`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        answer = self._http.request(method, f"/2{path}", json=body, params=query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def job(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Ask for something that is a job, and wait until it has ended well; returns the result of its only opcode."""
        number = self.ask(method, path, body, **query)
        job = wait_until(f"job {number} has ended", lambda: self._ended(number))
        assert job["status"] == "success", job
        return job["opresult"][0]

    def _ended(self, number: str) -> Any:
        job = self.ask("GET", f"/jobs/{number}")
        return job if job["status"] in ("success", "error", "canceled") else None

    def create(self, name: str, template: str, *sizes: int, hypervisor: str = "fake", **more: Any) -> None:
        """An instance that is off, with disks of these MiB and no NIC."""
        least = {"maxmem": 128, "minmem": 128, "vcpus": 1}
        unchecked = {"ip_check": False, "name_check": False, "conflicts_check": False}
        body = {"__version__": 1, "mode": "create", "instance_name": name, "disk_template": template, "nics": []}
        body |= {"disks": [{"size": size} for size in sizes], "os_type": "blank", "no_install": True, "start": False}
        self.job("POST", "/instances", body | unchecked | {"hypervisor": hypervisor, "beparams": least} | more)


@contextmanager
def connect(cell: Cell) -> Iterator[Rapi]:
    with httpx.Client(base_url=cell.url, verify=cell.tls, auth=(cell.user, cell.password), timeout=LIMIT) as http:
        yield Rapi(http)
