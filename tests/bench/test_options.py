from __future__ import annotations

import pytest
from bench.options import PARTS, Login, parse


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "PROJECT_NAME", "USER_DOMAIN_NAME", "PROJECT_DOMAIN_NAME", "REGION_NAME"):
        monkeypatch.delenv(f"OS_{name}", raising=False)


def test_without_words_all_is_measured_in_a_cloud_of_our_own() -> None:
    options = parse([])
    assert options.login is None
    assert (options.parts, options.clients, options.volumes) == (PARTS, (1, 8, 32), (1_000, 100_000))


def test_quick_does_less_of_the_same() -> None:
    quick, slow = parse(["--quick"]), parse([])
    assert (quick.seconds, quick.most, quick.rounds) < (slow.seconds, slow.most, slow.rounds)
    assert (quick.parts, quick.clients, quick.volumes) == (slow.parts, slow.clients, slow.volumes)


def test_parts_and_numbers_are_lists() -> None:
    options = parse(["--parts", "create,requests", "--clients", "2,4", "--volumes", "300,20", "--seconds", "1.5"])
    assert options.parts == ("create", "requests")
    assert options.clients == (2, 4)
    assert options.volumes == (20, 300)  # the fewest first: they only grow
    assert options.seconds == 1.5


def test_another_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PASSWORD", "secret")
    options = parse(["--auth-url", "https://other/identity", "--username", "u", "--project-name", "p"])
    assert options.login == Login("https://other/identity", "u", "secret", "p", "Default", "Default", None)
    assert max(options.volumes) < 1_000  # made one by one


@pytest.mark.parametrize(
    "words",
    [
        ["--parts", "create,sing"],
        ["--clients", "many"],
        ["--volumes", "0"],
        ["--auth-url", "http://other", "--username", "u", "--project-name", "p"],
    ],
)
def test_what_cannot_be(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(words)
    assert refused.value.code == 2
    assert words[0] in capsys.readouterr().err
