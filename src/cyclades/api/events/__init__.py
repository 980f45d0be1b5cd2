"""The Events service, our own: watch a project's resources instead of asking again and again."""

from __future__ import annotations

from cyclades.api.events import stream
from cyclades.api.events.service import SERVICE

SERVICES = (SERVICE,)

__all__ = ["SERVICES", "stream"]
