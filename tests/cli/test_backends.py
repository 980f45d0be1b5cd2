"""The commands for backends, where no cluster is: tests/ganeti/test_commands.py has the rest."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.cli.stage import Cloud
from tests.processes import free_address

from cyclades.backends.ganeti.survey import fingerprint
from cyclades.cli.clusters import require_pools
from cyclades.config import PoolSettings, load
from cyclades.model.errors import Invalid
from cyclades.store import backends


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of nobody."""
    directory = tmp_path_factory.mktemp("certificate")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run([*words, "-subj", "/CN=ganeti.example.com", *files], check=True, capture_output=True)
    return directory / "cert.pem"


def test_the_fingerprint_is_that_of_openssl(certificate: Path) -> None:
    words = ["openssl", "x509", "-in", str(certificate), "-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert said.strip().lower() == f"sha256 fingerprint={fingerprint(certificate.read_text())}".lower()


def test_this_machine_is_a_backend_that_can_be_drained(stopped: Cloud) -> None:
    """Also before an engine has looked at it; Nova's clients see the same row."""
    (local,) = stopped.done("backend-list")
    assert (local["name"], local["kind"], local["state"], local["enabled"]) == ("local", "local", "unseen", True)
    drained = stopped.done("backend-modify", "local", "--drained", "--reason", "new fans")
    assert (drained["enabled"], drained["disabled_reason"]) == (False, "new fans")
    assert drained["takes_no_servers_because"] == "it is disabled (new fans)"
    (row,) = stopped.database.read_now(lambda tx: backends.every(tx, ["local"]))
    assert (row.enabled, row.disabled_reason) == (False, "new fans")
    tried = stopped.command("backend-modify", "local", "--undrained", "--dry-run", "--fields", "enabled", "-o", "csv")
    assert (tried.returncode, tried.stdout) == (0, "enabled\ntrue\n")
    assert tried.stderr == "Nothing was changed: so it would be.\n"
    assert stopped.done("backend-info", "local")["enabled"] is False
    assert stopped.done("backend-modify", "local", "--undrained")["disabled_reason"] is None
    assert "is in the settings" in stopped.refused("backend-modify", "local", "--offline")
    assert "is in the settings" in stopped.refused("backend-remove", "local", "--yes")
    assert "could not be found" in stopped.refused("backend-remove", "none", "--yes")
    assert "could not be found" in stopped.refused("backend-modify", "none", "--drained")
    assert "given with --drained" in stopped.refused("backend-modify", "local", "--reason", "x", code=2)
    assert "is none of name, kind" in stopped.refused("backend-list", "--fields", "nam", code=2)


def test_a_cluster_that_is_not_added(stopped: Cloud, certificate: Path, tmp_path: Path) -> None:
    host, port = free_address()
    password = tmp_path / "password"
    password.write_text("secret\n")
    good = ("--url", f"https://{host}:{port}", "--password-file", str(password), "--certificate", str(certificate))

    def add(*words: str) -> str:
        return stopped.refused("backend-add", *words, "--yes")

    assert "nothing listens there" in add("c1", *good)
    assert "cannot be the name of a backend" in add("a/b", *good)
    assert "There is a backend local already" in add("local", *good)
    assert "There is no pool 'far'; there is local" in add("c1", *good, "--pool", "far")
    assert "The options cannot be" in add("c1", *good, "--domain", "no domain")
    assert "The options cannot be" in add("c1", *good, "--look-seconds", "0")
    assert "is not the URL of a cluster's RAPI" in add("c1", *good, "--url", "http://127.0.0.1:5080")
    assert "cannot be read" in add("c1", *good, "--password-file", str(tmp_path / "none"))
    assert "The password is empty" in add("c1", *good, "--password-file", "-")
    assert "a private key in it" in add("c1", *good, "--certificate", str(certificate.with_name("key.pem")))
    assert "not a certificate" in add("c1", *good, "--certificate", str(password))
    alone = good[:4]
    assert "give --certificate or --fingerprint" in add("c1", *alone)
    assert "Nobody shows a certificate" in add("c1", *alone, "--fingerprint", "00")
    assert "There is nobody to ask for the password" in add("c1", *good[:2], *good[4:])
    assert [one["name"] for one in json.loads(stopped.command("backend-list", "-o", "json").stdout)] == ["local"]


def test_nodes_do_not_get_at_pools_in_ceph() -> None:
    settings = load(None, {})
    settings.pools = (PoolSettings("local"), PoolSettings("fast", engine="rbd"))
    require_pools(settings, ["local"])
    with pytest.raises(Invalid, match="in Ceph"):
        require_pools(settings, ["local", "fast"])
