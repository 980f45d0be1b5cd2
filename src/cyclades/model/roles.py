"""The roles that rules are made of. Operators may make more; those mean nothing here, and travel for others to read."""

from __future__ import annotations

ADMIN, MEMBER, READER = "admin", "member", "reader"
BUILT_IN = (ADMIN, MEMBER, READER)
