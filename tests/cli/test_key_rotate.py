"""`cyclades key-rotate`, beside a cloud that runs: nobody is logged out."""

from __future__ import annotations

from pathlib import Path

from tests.clouds import Cloud
from tests.processes import command


def test_tokens_of_before_and_after_are_good(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "cloud")
    try:
        cloud.start()
        keys = cloud.data / "keys"
        before, old = cloud.user(), set(keys.iterdir())
        done = command("key-rotate", "--data", str(cloud.data))
        assert done.returncode == 0, done.stderr
        new = set(keys.iterdir()) - old
        assert len(new) == 2
        assert {path.stat().st_mode & 0o777 for path in new} == {0o600}
        assert all(path.stem.partition("-")[2] in done.stdout for path in new)
        for user in (before, cloud.user()):
            assert user.ask("GET", "/volume/v3/volumes") == {"volumes": []}
    finally:
        cloud.end()


def test_where_there_are_no_keys(tmp_path: Path) -> None:
    done = command("key-rotate", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "There are no keys" in done.stderr
