"""The Image service: Glance's API v2."""

from __future__ import annotations

from cyclades.api.image import actions, data, fill, images, members, schemas, versions
from cyclades.api.image.service import SERVICE

SERVICES = (SERVICE,)

__all__ = ["SERVICES", "actions", "data", "fill", "images", "members", "schemas", "versions"]
