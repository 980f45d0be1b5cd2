"""The process that a cell lives in: `python -m tests.ganeti.inside DIRECTORY LISTENER`.

It is the first in pid, network and mount namespaces of its own (`Cell.start` makes them), so its end is the end of all
that runs in the cell. It lays the nodes' network, starts the nodes, says `up`, and passes on what comes to LISTENER, a
socket that it got from outside, to RAPI on the cluster's master.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.ganeti.plan import MASTER_ADDRESS, RAPI_PORT, Plan, start_time

_INIT = Path(__file__).parent / "node" / "init"
_GATEWAY = "10.213.0.1/24"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _lay_network() -> None:
    """A bridge for the nodes. No wire leads out of this namespace."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "br0", "type", "bridge")
    _ip("addr", "add", _GATEWAY, "dev", "br0")
    _ip("link", "set", "br0", "up")


async def _start_node(plan: Plan, number: int) -> None:
    directory, name, address = plan.node(number)
    directory.mkdir()
    spaces = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--net", "--uts", "--ipc"]
    init: list[str | Path] = [_INIT, directory, plan.root, plan.shared, plan.hosts, name, address, plan.version]
    with (directory / "log").open("wb") as log:
        node = await asyncio.create_subprocess_exec(*spaces, *init, stdin=PIPE, stdout=PIPE, stderr=log)
    assert node.stdin is not None
    assert node.stdout is not None
    if not (pid := (await node.stdout.readline()).decode().strip()):
        raise RuntimeError(f"{name} did not start: {(directory / 'log').read_text()}")
    plug = f"node{number}"
    _ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", f"/proc/{pid}/ns/net")
    _ip("link", "set", plug, "master", "br0", "up")
    node.stdin.write(b"\n")
    if await node.stdout.readline() != b"up\n":
        raise RuntimeError(f"{name} did not start: {(directory / 'log').read_text()}")


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _forward(reader: StreamReader, writer: StreamWriter) -> None:
    """One connection. What ends on one side ends on the other; a RAPI that is down refuses."""
    ends = [writer]
    with contextlib.suppress(OSError):
        master_reader, master_writer = await asyncio.open_connection(MASTER_ADDRESS, RAPI_PORT)
        ends.append(master_writer)
        await asyncio.gather(_copy(reader, master_writer), _copy(master_reader, writer))
    for end in ends:
        end.close()


async def main(directory: Path, listener: socket.socket) -> None:
    pid = Path("/proc/self").readlink().name  # /proc is the machine's
    (directory / "pid").write_text(f"{pid} {start_time(pid)}")
    plan = Plan.load(directory)
    _lay_network()
    async with asyncio.TaskGroup() as starting:
        for number in range(1, plan.nodes + 1):
            starting.create_task(_start_node(plan, number))
    server = await asyncio.start_server(_forward, sock=listener)
    print("up", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))))
