"""The Network service: Neutron's API v2.0, to be read. The backend's network is as the operator made it."""

from __future__ import annotations

from cyclades.api.network import networks, ports, refused, versions
from cyclades.api.network.service import SERVICE

SERVICES = (SERVICE,)

__all__ = ["SERVICES", "networks", "ports", "refused", "versions"]
