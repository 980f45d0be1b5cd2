"""How results are counted, what makes a run fail, and that the list of what is left out is kept true."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.conformance import left_out
from tests.conformance.report import Report
from tests.conformance.suites import Result, _of_each

PARTS = ("suite.one", "suite.two")
REASONS = {"suite.one.C.test_backup": "backups are not offered (yet)"}


def result(name: str, status: str = "success", text: str = "") -> Result:
    return Result(name, status, 0.1, text)


def report(*results: Result, unknown: tuple[str, ...] = ()) -> Report:
    made = Report(PARTS, REASONS, unknown=unknown)
    made.add(results)
    return made


def test_what_passed_is_counted_by_part(capsys: pytest.CaptureFixture[str]) -> None:
    made = report(
        result("suite.one.C.test_a[id-1]"), result("suite.two.C.test_b"), result("suite.two.C.test_c", "xfail")
    )
    made.left_out(["suite.one.C.test_backup[id-2,slow]"])
    assert made.good
    made.show(3.2)
    shown = capsys.readouterr().out
    assert "suite.one: 1 passed, 0 failed, 1 skipped\nsuite.two: 2 passed, 0 failed, 0 skipped\nin 3 s" in shown
    assert "1  backups are not offered (yet)" in shown


def test_what_makes_a_run_fail(capsys: pytest.CaptureFixture[str]) -> None:
    failure = "Traceback (most recent call last):\n  ...\ntempest.exceptions.NotFound: gone\nDetails: {}\n"
    failed = report(result("suite.one.C.test_a", "fail", failure))
    assert not failed.good
    failed.show(1)
    assert "tempest.exceptions.NotFound: gone Details: {}" in capsys.readouterr().out
    assert not report(result("suite.one.C.test_a", "skip", "no such thing here")).good
    assert not report(result("tearDownClass (suite.one.C)", "fail")).good
    assert not report(unknown=("suite.one.C.test_gone",)).good
    assert report(result("suite.one.C.test_backup[id-2]", "skip")).good


def test_a_test_without_a_result_has_that_of_its_class() -> None:
    results = [result("setUpClass (suite.one.C)", "skip", "no backups"), result("suite.two.C.test_b[id-1]")]
    found = _of_each(["suite.one.C.test_a[id-3]", "suite.two.C.test_b[id-1]", "suite.two.D.test_c"], results)
    assert found["suite.one.C.test_a[id-3]"].text == "no backups"
    assert found["suite.two.C.test_b[id-1]"].passed
    assert (found["suite.two.D.test_c"].status, len(found)) == ("fail", 3)
    ended = result("tearDownClass (suite.one.C)", "fail")
    assert _of_each([], [ended, *results]) == {ended.name: ended}


def test_the_list_knows_what_does_not_exist() -> None:
    names = ["suite.one.C.test_a[id-1]", "suite.one.C.test_backup[id-2]"]
    assert left_out.unknown(REASONS, names) == []
    assert left_out.unknown({**REASONS, "suite.one.C.test_gone": ""}, names) == ["suite.one.C.test_gone"]


def test_the_list_names_each_test_once_and_gives_a_reason() -> None:
    groups = tomllib.loads(Path(left_out._FILE).read_text())
    for suite in groups:
        assert all(left_out.read(suite).values())
