"""Servers as instances of a Ganeti cluster."""

from __future__ import annotations

from cyclades.backends.ganeti.backend import GanetiBackend
from cyclades.backends.ganeti.options import Access, GanetiOptions

__all__ = ["Access", "GanetiBackend", "GanetiOptions"]
