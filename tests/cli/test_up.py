"""`cyclades up`: what it makes, and what it refuses."""

from __future__ import annotations

import socket
import sqlite3
import ssl
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.clouds import Cloud, User
from tests.processes import LIMIT, PROGRAM, Process, command, environment, free_address

CREDENTIALS = ("openrc", "openrc-demo", "clouds.yaml")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud")
    yield made
    made.end()


def contents(data: Path) -> dict[str, str]:
    return {name: (data / name).read_text() for name in CREDENTIALS}


def rows(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """What the first start put into the database."""
    tables = ("domain", "project", "user", "role", "assignment", "flavor", "volume_type")
    with sqlite3.connect(f"file:{data}/cyclades.db?mode=ro", uri=True) as connection:
        return {table: connection.execute(f'SELECT * FROM "{table}"').fetchall() for table in tables}


def test_the_first_start_makes_a_cloud_and_the_second_changes_nothing(cloud: Cloud) -> None:
    cloud.start()
    files, made = contents(cloud.data), rows(cloud.data)
    for name in (*CREDENTIALS, "cyclades.db"):
        assert stat.S_IMODE((cloud.data / name).stat().st_mode) == 0o600, name
    demo, admin = cloud.user(), cloud.user("openrc")
    projects = admin.ask("GET", "/identity/v3/projects")["projects"]
    assert {one["name"] for one in projects} == {"admin", "demo"}
    assert {one["name"] for one in demo.ask("GET", "/compute/v2.1/flavors")["flavors"]} >= {"m1.nano", "m1.small"}
    types = demo.ask("GET", "/volume/v3/types")["volume_types"]
    assert [one["name"] for one in types] == ["standard"]
    assert demo.ask("GET", "/volume/v3/types/default")["volume_type"]["name"] == "standard"
    assert demo.request("GET", "/identity/v3/users").status_code == 403
    cloud.stop()
    cloud.start()
    assert (contents(cloud.data), rows(cloud.data)) == (files, made)
    assert not list(cloud.data.glob("*.before-*"))
    demo.ask("GET", "/volume/v3/volumes")  # keys are kept, so tokens are


def test_one_line_says_where_it_is(tmp_path: Path) -> None:
    """Guests' QEMUs, which run as another user, get through to their files whatever the umask is."""
    data = tmp_path / "made" / "cloud"
    words = ("up", "--data", data, "--public-url", "http://c.test/")
    process = subprocess.Popen(
        [PROGRAM, *words], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, umask=0o077
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    rest, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert line.strip() == f"Cyclades is ready at http://c.test (credentials in {data})"
    assert rest == ""
    assert "OS_AUTH_URL=http://c.test/identity/v3" in (data / "openrc").read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data.parent, data, data / "servers")} == {0o711}
    assert {stat.S_IMODE((data / name).stat().st_mode) for name in ("keys", "images")} == {0o700}


def test_the_openstack_command_takes_the_files(cloud: Cloud) -> None:
    cloud.start()
    openstack = PROGRAM.with_name("openstack")
    by_cloud = [str(openstack), "--os-cloud", "cyclades-admin", "project", "list", "-f", "value", "-c", "Name"]
    where = environment(OS_CLIENT_CONFIG_FILE=str(cloud.data / "clouds.yaml"))
    listed = subprocess.run(by_cloud, env=where, capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    assert sorted(listed.split()) == ["admin", "demo"]
    script = f". {cloud.data}/openrc-demo && {openstack} volume type list -f value -c Name"
    sourced = subprocess.run(["bash", "-c", script], env=environment(), capture_output=True, timeout=LIMIT, check=True)
    assert sourced.stdout.decode().strip() == "standard"


def test_a_second_up_on_the_directory_is_refused(cloud: Cloud) -> None:
    cloud.start()
    done = command("up", "--data", cloud.data)
    assert done.returncode == 1
    assert done.stderr.strip() == f"cyclades: Another `cyclades up` runs on {cloud.data}."
    cloud.user().new_volume()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Nothing is made: the credentials would name that port for ever."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("up", "--data", tmp_path / "cloud", "--host", "127.0.0.1", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.strip() == f"cyclades: Cannot listen on 127.0.0.1:{port}: Address already in use."
    assert [path.name for path in (tmp_path / "cloud").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "0.0.0.0"), "0.0.0.0 can be reached by other machines"),
        (("--host", "::"), ":: can be reached by other machines"),
        (("--host", "example.test"), "example.test can be reached by other machines"),
        (("--tls-cert", "cert.pem"), "TLS needs both a certificate and its key"),
        (("--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"), "TLS cannot use /nowhere/cert.pem"),
        (("--tls-cert", "/etc/hostname", "--tls-key", "/etc/hostname"), "TLS cannot use /etc/hostname"),
        (
            ("--host", "192.0.2.1", "--port", "8774", "--insecure"),
            "Cannot listen on 192.0.2.1:8774: Cannot assign requested address",
        ),
    ],
)
def test_what_it_does_not_listen_with(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = command("up", "--data", tmp_path / "cloud", *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cyclades: {says}")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "cloud" / "cyclades.db").exists()


@pytest.mark.parametrize("words", [("--port", "0"), ("--port", "65536"), ("--config", "/nowhere.toml")])
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command("up", "--data", tmp_path / "cloud", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cloud").exists()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "cyclades.db").write_bytes(b"no database " * 100)
    done = command("up", "--data", tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "cyclades: The database cannot be used: file is not a database"


def certificate(directory: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cloud.test")])
    moment = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, key_file = directory / "cert.pem", directory / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return cert, key_file


def test_tls(tmp_path: Path) -> None:
    host, port = free_address()
    cert, key = certificate(tmp_path, host)
    words = ("--host", host, "--port", str(port), "--tls-cert", cert, "--tls-key", key)
    process = Process(tmp_path / "log", "up", "--data", tmp_path / "cloud", *words)
    try:
        assert f"https://{host}:{port} " in process.ready()
        user = User(tmp_path / "cloud" / "openrc-demo", verify=ssl.create_default_context(cafile=str(cert)))
        urls = [endpoint["url"] for service in user.catalog for endpoint in service["endpoints"]]
        assert urls
        assert all(url.startswith(f"https://{host}:{port}/") for url in urls)
        user.new_volume()
        user.close()
        with socket.create_connection((host, port), timeout=LIMIT) as plain:
            plain.sendall(b"GET /identity/v3 HTTP/1.1\r\nHost: cloud\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP/")
    finally:
        process.kill()
