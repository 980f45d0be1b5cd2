"""The network of a server: everything follows from one small number, unique among a backend's living servers.

Each server has a subnet of eight addresses of its own, so that none reaches another; the host reaches it through a
loopback address of its own. Those a machine shares between all its clouds, so each cloud begins somewhere else.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple
from uuid import NAMESPACE_DNS, UUID, uuid5
from zlib import crc32

NETWORK_ID = str(uuid5(NAMESPACE_DNS, "network.cyclades"))
SUBNET_ID = str(uuid5(NAMESPACE_DNS, "subnet.cyclades"))
NETWORK_CIDR = IPv4Network("10.64.0.0/10")  # of /29s

_SUBNETS = int(NETWORK_CIDR[0])
_GUEST_IN_SUBNET = 4
_FORWARDS = int(IPv4Address("127.64.0.1"))  # and the rest of the /10
_FORWARDS_MOST = (1 << 22) - 2
MOST = 1 << 19
# A server has one interface. Its port's id follows from the server's and back, so that nobody has to keep it.
_PORT = UUID("70727400-0000-0000-0000-637963000000").int


class Addresses(NamedTuple):
    """Of one server. `forward` is the host's loopback address whose port 22 leads to the guest's."""

    mac: str
    address: str
    forward: str


def addresses(number: int, cloud: str) -> Addresses:
    """`number` is 1 or more, less than `MOST`; `cloud` is what tells this cloud from others."""
    if not 0 < number < MOST:
        raise ValueError(f"there is no network number {number}")
    mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(3, "big"))
    address = IPv4Address(_SUBNETS + 8 * number + _GUEST_IN_SUBNET)
    forward = IPv4Address(_FORWARDS + (crc32(cloud.encode()) + number) % _FORWARDS_MOST)
    return Addresses(mac, str(address), str(forward))


def mac_of(server_id: str) -> str:
    """Of a server whose network gives it an address by itself: the same each time, and locally administered."""
    return "02:" + ":".join(f"{byte:02x}" for byte in uuid5(UUID(server_id), "mac").bytes[:5])


def port_of(server_id: str) -> str:
    return str(UUID(int=UUID(server_id).int ^ _PORT))


def server_of(port_id: str) -> str:
    """`ValueError` if this is no port's id."""
    return port_of(port_id)
