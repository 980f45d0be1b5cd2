"""What the program says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.processes import command
from typer.main import get_command
from typer.testing import CliRunner

from cyclades.cli.main import app

# Who runs the tests asks for none of these: all are loaded.
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
DOCS = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_says_what_it_does(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "120", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    assert COMMANDS[name].help.strip().partition("\n")[0]
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), f"{name} does not say what {parameter.name} is"
        assert len(re.findall(r"\[[a-z]+: ", parameter.help)) == 0, "Rich takes [x: …] for markup"


def test_each_command_is_in_the_docs() -> None:
    named, noun = set(), ""
    for word in re.findall(r"`(-?[a-z][a-z-]+)`", DOCS.read_text()):
        if word.startswith("-"):
            named.add(noun + word)
        else:
            named.add(word)
            noun = word.rpartition("-")[0]
    assert sorted(set(COMMANDS) - named - {"db"}) == []


def test_a_command_is_completed(tmp_path: Path) -> None:
    words = {"_CYCLADES_COMPLETE": "complete_bash", "COMP_WORDS": "cyclades volume-i", "COMP_CWORD": "1"}
    done = command(**words)
    assert done.stdout.split() == ["volume-info", "volume-inspect", "volume-import"], done.stderr


def test_all_are_listed_by_what_they_are_about() -> None:
    done = command("--help")
    assert done.returncode == 0
    for words in ("Volumes", "Servers", "Operations", "server-create", "quota-check", "key-rotate"):
        assert words in done.stdout
    assert command("no-such-command").returncode == 2


def test_help_has_the_width_of_the_terminal() -> None:
    shown = CliRunner().invoke(app, ["up", "--help"], env={"COLUMNS": "60", "TERM": "dumb"}).output
    text = shown.partition("directory.")[2].partition("╭")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert len(lines) > 2
    assert all(len(line) > 30 for line in lines[:-1]), lines
