"""What a step leaves on its jobs, as an operation keeps it."""

from __future__ import annotations


class KeptTrail:
    """In memory; `kept` is what the database would have. A repeat of the step has the same."""

    def __init__(self, mark: str = "cyclades:op:step:do") -> None:
        self.mark = mark
        self.kept: dict[str, str] = {}

    def job(self, what: str) -> str | None:
        return self.kept.get(what)

    async def keep(self, what: str, job: str | None) -> None:
        if job is None:
            self.kept.pop(what, None)
        else:
            self.kept[what] = job

    async def progress(self, fraction: float) -> None:
        pass
