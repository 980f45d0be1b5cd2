"""What a hostile guest reaches over its network: nothing. It is root, and tries every address that could lead
somewhere.

With `restrict=off` in the backend's network the host's services are reached by TCP and by UDP (seen by hand, in a
network namespace: the guest's packets could leave the machine then).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface

import pytest
from tests.clouds import SSH_PORT
from tests.e2e.conftest import Booted

GUEST_SSH_PORT = 22

SECONDS = 4  # for each try, all at once: what is dropped in silence ends only by itself


@dataclass
class Services:
    """Services that listen on the host's loopback, as many do."""

    tcp: socket.socket
    udp: socket.socket

    @property
    def ports(self) -> tuple[int, int]:
        return int(self.tcp.getsockname()[1]), int(self.udp.getsockname()[1])

    def reached(self) -> list[str]:
        """By what something came in."""
        found = []
        with suppress(BlockingIOError):
            self.tcp.accept()[0].close()
            found.append("tcp")
        with suppress(BlockingIOError):
            self.udp.recv(100)
            found.append("udp")
        return found


@pytest.fixture
def services() -> Iterator[Services]:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        for one in (tcp, udp):
            one.setblocking(False)
        yield Services(tcp, udp)


def subnet(booted: Booted) -> list[str]:
    """Every address of the guest's own little network but its own: one is the host's, one a name server's."""
    own = booted.guest.run("ip -4 -o addr show dev eth0").split()
    interface = IPv4Interface(next(word for word in own if "/" in word))
    assert str(interface.ip) == booted.address()
    return [str(address) for address in interface.network if address != interface.ip]


def tried(booted: Booted, tcp: list[str], udp: Sequence[str] = ()) -> str:
    """What the guest hears when it turns to all these places (ADDRESS:PORT), with the names of those that took what it
    said. By UDP it asks for a file, since busybox has no other command for that."""
    hello = f"echo hello | timeout {SECONDS} nc ${{to%:*}} ${{to#*:}}"
    ask = f"timeout {SECONDS} tftp -g -r hello -l /tmp/hello ${{to%:*}} ${{to#*:}}"
    by_tcp = f'for to in {" ".join(tcp)}; do ({hello} && echo "got $to") & done'
    by_udp = f'for to in {" ".join(udp)}; do ({ask} && echo "got $to") & done'
    return booted.guest.run(f"{by_tcp}; {by_udp}; wait")


def test_what_a_guest_can_reach_is_itself(booted: list[Booted]) -> None:
    """That the tries below work where there is something to reach."""
    first, _, _ = booted
    places = [f"127.0.0.1:{GUEST_SSH_PORT}", f"{first.address()}:{GUEST_SSH_PORT}"]
    said = tried(first, places)
    assert said.count("SSH-2.0") == 2
    assert all(f"got {place}" in said for place in places)


def test_no_guest_reaches_the_host_or_another_guest(booted: list[Booted], services: Services) -> None:
    """Neither a guest of its own project nor one of another, at whatever address the other is known by."""
    first, second, stranger = booted
    tcp, udp = services.ports
    near = subnet(first)
    hosts = [*near, "127.0.0.1", "10.0.2.2", "10.0.2.3", first.address("floating")]
    places = [f"{address}:{tcp}" for address in hosts] + [f"{address}:{SSH_PORT}" for address in near]
    for other in (second, stranger):
        places += [f"{other.address()}:{GUEST_SSH_PORT}", f"{other.address('floating')}:{SSH_PORT}"]
    for gateway in near[1:3]:
        # DHCP names no way out, so the guest makes one.
        first.guest.run(f"ip route replace default via {gateway} dev eth0 onlink")
        assert tried(first, places, [f"{address}:{udp}" for address in hosts]) == ""
        assert services.reached() == []


def test_taking_anothers_address_helps_nobody(booted: list[Booted], services: Services) -> None:
    """The guest gives itself the addresses of others, beside its own, and asks their hosts."""
    first, second, stranger = booted
    tcp, udp = services.ports
    taken = [IPv4Interface(f"{address}/29") for address in (second.address(), stranger.address(), "10.0.2.4")]
    for address in taken:
        first.guest.run(f"ip addr add {address} dev eth0")
    try:
        hosts = [str(address.network[i]) for address in taken for i in (1, 2)]
        places = [f"{host}:{port}" for host in hosts for port in (tcp, GUEST_SSH_PORT, SSH_PORT)]
        assert tried(first, places, [f"{host}:{udp}" for host in hosts]) == ""
        assert services.reached() == []
    finally:
        for address in taken:
            first.guest.run(f"ip addr del {address} dev eth0")
