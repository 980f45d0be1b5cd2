"""Microversions (OpenStack API-SIG, "Microversion Specification")."""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"(\d{1,3})\.(\d{1,4})")


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class Versions(NamedTuple):
    """What one service speaks. `name` stands in the `OpenStack-API-Version` header; `legacy` is the service's
    own older header, if it has one."""

    name: str
    least: Version
    most: Version
    legacy: str | None = None
    legacy_request_id: str | None = None  # the header that had a request's id before all services had the same

    def chosen(self, header: str | None, legacy: str | None) -> Version | None:
        """The version that a request asks for; the least when it asks for none, None when it cannot be had."""
        wanted = None
        for part in (header or "").split(","):
            service, _, value = part.strip().partition(" ")
            if service == self.name:
                wanted = value.strip()
        if wanted is None:
            wanted = (legacy or "").strip() or None
        if wanted is None:
            return self.least
        if wanted == "latest":
            return self.most
        form = _FORM.fullmatch(wanted)
        if form is None:
            return None
        version = Version(int(form[1]), int(form[2]))
        return version if self.least <= version <= self.most else None
