"""What can go wrong, in our own words.

Two families. A *refusal* says no before anything has happened: a rule was broken, and nothing changed.
`api/` turns it into the HTTP code of the OpenStack service that was asked. A *fault* happens while an
operation works on pools and backends, and tells the engine what to do next.
"""

from __future__ import annotations


class Refusal(Exception):
    """A request that a rule forbids. Nothing was changed.

    `rule` is the rule's name (for tests, logs and docs), `message` is for the person who asked: what
    happened, why, and what to do. `field` names the input at fault, where there is one.
    """

    def __init__(self, rule: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.field = field


class Invalid(Refusal):
    """The input breaks a rule whatever the state of the world."""


class UnknownMarker(Invalid):
    """A page's marker is not in its list. Clients of Nova look for these words."""

    def __init__(self, marker: str) -> None:
        super().__init__(
            "marker", f"marker [{marker}] not found", field="marker"
        )  # the words that Nova's clients look for


class NotFound(Refusal):
    """The thing does not exist, or is not of the asker's project: both look the same."""

    def __init__(self, kind: str, ident: str) -> None:
        super().__init__(f"{kind}-not-found", f"{kind.replace('-', ' ').capitalize()} {ident} could not be found.")
        self.kind = kind
        self.ident = ident


class WrongState(Refusal):
    """The rule allows this only in other states of `resource` (`volume`, `server`, `snapshot`, `image`…)."""

    def __init__(self, rule: str, message: str, *, resource: str, field: str | None = None) -> None:
        super().__init__(rule, message, field=field)
        self.resource = resource


class Conflict(Refusal):
    """Something else of the same name or in the same place exists already."""


class Forbidden(Refusal):
    """The asker's roles do not allow it."""


class Unauthorized(Refusal):
    """Who is asking could not be established."""


class OverQuota(Refusal):
    """A quota would be passed. `resource` is the quota's name, numbers are in its own unit."""

    def __init__(self, resource: str, *, asked: int, used: int, limit: int) -> None:
        super().__init__("quota", _over(resource, asked, used, limit))
        self.resource = resource
        self.asked, self.used, self.limit = asked, used, limit


def _over(resource: str, asked: int, used: int, limit: int) -> str:
    """Of what Cinder counts, in its words: people and programs know them."""
    counted = resource.partition("_")[0]
    if resource == "per_volume_gigabytes":
        return f"Requested volume size {asked}G is larger than maximum allowed limit {limit}G."
    if counted == "gigabytes":
        return (
            f"Requested volume or snapshot exceeds allowed {resource} quota. Requested {asked}G, quota is {limit}G and "
            f"{used}G has been consumed."
        )
    if counted in ("volumes", "snapshots"):
        return f"Maximum number of {counted} allowed ({limit}) exceeded for quota '{resource}'."
    return f"Quota exceeded for {resource}: requested {asked}, but already used {used} of {limit}."


class TooLarge(Refusal):
    """A body over its limit."""


class TooMany(Refusal):
    """Asked too often; `seconds` from now it may be asked again."""

    def __init__(self, rule: str, message: str, *, seconds: int) -> None:
        super().__init__(rule, message)
        self.seconds = seconds


class Unavailable(Refusal):
    """This process cannot answer now (for example: it cannot read what was revoked)."""


class Fault(Exception):
    """A step could not do its work. `str(fault)` is the reason that the user reads."""


class Failed(Fault):
    """It will not work however often it is tried: the engine undoes the operation."""


class Passing(Fault):
    """It may work in a moment (a lock is held, a guest did not answer yet): the engine tries again, within a limit."""


class Away(Passing):
    """A pool or a backend cannot be reached: the engine tries again for as long as it takes, and says why it waits."""


class Full(Failed):
    """The pool has no space left."""
