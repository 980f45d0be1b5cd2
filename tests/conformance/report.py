"""How a run of another project's tests went, in words and as an outcome."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tests.conformance.left_out import plain
from tests.conformance.suites import Result

_ERROR = re.compile(r"[\w.]+(Error|Exception|Failed|Timeout\w*|NotFound|Mismatch|exceptions\.\w+)\b")
_LONGEST = 300


class Report:
    """`parts` are prefixes of names, which are counted one by one. `reasons` are those of left_out.toml; `unknown`
    is what that list has and the suite does not."""

    def __init__(self, parts: Collection[str], reasons: Mapping[str, str], *, unknown: Collection[str]) -> None:
        self._parts, self._reasons, self._unknown = parts, reasons, unknown
        self._counts: dict[str, Counter[str]] = {part: Counter() for part in parts}
        self._bad: list[Result] = []
        self._skipped: Counter[str] = Counter()

    def left_out(self, names: Iterable[str]) -> None:
        """These were not run, as the list says."""
        for name in names:
            self._skip(name)

    def add(self, results: Iterable[Result]) -> None:
        """These were run. One that skipped itself has failed, unless the list has it."""
        for result in results:
            if result.passed:
                self._count(result.name, "passed")
            elif result.skipped and plain(result.name) in self._reasons:
                self._skip(result.name)
            else:
                self._count(result.name, "failed")
                self._bad.append(result)

    def _skip(self, name: str) -> None:
        self._count(name, "skipped")
        self._skipped[self._reasons[plain(name)]] += 1

    def _count(self, name: str, outcome: str) -> None:
        # The end of a class is not a test, and has its name in brackets.
        part = next((part for part in self._parts if f"{part}." in name), None)
        self._counts.setdefault(part or "others", Counter())[outcome] += 1

    @property
    def good(self) -> bool:
        return not self._bad and not self._unknown

    def show(self, seconds: float) -> None:
        if self._bad:
            print("\nFailed:")
        for result in self._bad:
            print(f"  {result.name}\n      {_short(result)}")
        if self._unknown:
            print("\nThe list of what is left out has tests that do not exist:", *self._unknown, sep="\n  ")
        print("\nSkipped, and why:")
        for reason, count in sorted(self._skipped.items()):
            print(f"{count:5}  {reason}")
        print()
        for part, counts in self._counts.items():
            outcomes = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))
            print(f"{part}: {outcomes}")
        print(f"in {seconds:.0f} s", flush=True)


def _short(result: Result) -> str:
    """The whole text was shown when the test had run."""
    lines = [line.strip() for line in result.text.splitlines() if line.strip()]
    last = max((i for i, line in enumerate(lines) if _ERROR.match(line)), default=len(lines) - 1)
    why = " ".join(lines[max(last, 0) : last + 2])[:_LONGEST]
    return f"it skipped itself: {why}" if result.skipped else why
