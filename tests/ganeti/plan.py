"""What is decided about a cell before anything runs: `Plan`, kept in its directory for other processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MASTER_ADDRESS = "10.213.0.5"  # in the cell's own network, which nothing leaves
RAPI_PORT = 5080
VERSIONS = ("3.0", "3.1")


@dataclass(frozen=True)
class Plan:
    """Of a cell in `directory`: how many nodes, which Ganeti (3.0 or 3.1), the port of RAPI on 127.0.0.1, the password
    of its user. `root` is the nodes' root folder; `shared` is a directory that is there on the nodes, too."""

    directory: Path
    root: Path
    shared: Path
    nodes: int
    version: str
    port: int
    password: str

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def domain(self) -> str:
        """The cluster's name; its nodes are `node1.DOMAIN` and so on."""
        return f"{self.name}.cells.test"

    @property
    def hosts(self) -> Path:
        return self.directory / "hosts"

    def node(self, number: int) -> tuple[Path, str, str]:
        """Directory, full name and address of a node; they are counted from 1."""
        return self.directory / f"node{number}", f"node{number}.{self.domain}", f"10.213.0.{10 + number}"

    def save(self) -> None:
        every = [self.node(number) for number in range(1, self.nodes + 1)]
        lines = ["127.0.0.1 localhost", f"{MASTER_ADDRESS} {self.domain}"]
        lines += [f"{address} {name} {name.partition('.')[0]}" for _, name, address in every]
        self.hosts.write_text("\n".join(lines) + "\n")
        (self.directory / "plan.json").write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def load(cls, directory: Path) -> Plan:
        values = json.loads((directory / "plan.json").read_text())
        paths = {name: Path(values[name]) for name in ("directory", "root", "shared")}
        return cls(**(values | paths))


def start_time(pid: int | str) -> str:
    """When the process began, in the machine's own ticks: with it, a number means one process for ever. Raises
    FileNotFoundError when there is none."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
