"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """One request's asker: a user, in a project, with roles there. `request_id` follows everything the
    request leads to."""

    user_id: str
    project_id: str
    roles: frozenset[str]
    request_id: str

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    @property
    def may_write(self) -> bool:
        """Readers only read."""
        return self.is_admin or "member" in self.roles

    @property
    def scope(self) -> str | None:
        """The project whose objects this caller can reach; None reaches all."""
        return None if self.is_admin else self.project_id

    @property
    def sees_hosts(self) -> bool:
        """Where a disk lies and how it is reached is for admins and for other services."""
        return self.is_admin or "service" in self.roles
