"""What all tests may ask for: `database` (and `database_url`, `blank_database_url`) on each kind of database,
and `guest_image`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck
from tests import crash_cases, databases, postgres_server, processes

from cyclades.store.database import Database

# A machine is slow at times: no example has to be quick, nor the making of one.
hypothesis.settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("any-machine")

_ROOT = Path(__file__).parents[1]
_MAIN_PID = "CYCLADES_TESTS_PID"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--databases",
        metavar="KINDS",
        help="sqlite, postgres or both with a comma; otherwise both, or SQLite alone where PostgreSQL is not installed",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # in xdist's main process, or in the only one
        os.environ[_MAIN_PID] = str(os.getpid())
        print(crash_cases.choose_seed(), flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the processes said that were started by the test or before it, beside its failure."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {process.title}", process.log()[-10_000:]) for process in processes.running()]
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", _kinds(metafunc.config), indirect=True)


def _kinds(config: pytest.Config) -> list[str]:
    wanted = config.getoption("databases")
    if wanted is None:
        return ["sqlite", "postgres"] if postgres_server.program("initdb") else ["sqlite"]
    kinds = str(wanted).split(",")
    if not set(kinds) <= set(databases.KINDS):
        raise pytest.UsageError(f"--databases takes {' and '.join(databases.KINDS)}, not {wanted!r}")
    return kinds


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgres`. Whoever asks for this, or for a database, runs once on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def _sqlite(tmp_path_factory: pytest.TempPathFactory) -> databases.Sqlite:
    return databases.Sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def _postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[databases.Postgres]:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    own = tmp_path_factory.getbasetemp()
    server = databases.postgres_server_url(own.parent if worker else own, int(os.environ[_MAIN_PID]))
    postgres = databases.Postgres(server, worker or "main")
    yield postgres
    postgres.close()


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database with all tables and no rows, as `Database` and the configuration take it. For tests
    that give it to other processes; the rest ask for `database`."""
    if database_kind == "sqlite":
        sqlite: databases.Sqlite = request.getfixturevalue("_sqlite")
        return sqlite.with_tables(tmp_path)
    postgres: databases.Postgres = request.getfixturevalue("_postgres")
    return postgres.with_tables()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A `Database` with all tables and no rows, closed after the test. The test runs once on SQLite (a file in
    its tmp_path) and once on PostgreSQL. `tests.databases.empty(database)` empties it again in a test with many
    cases."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def blank_database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database without any tables: for tests of migrations."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'blank.db'}"
    postgres: databases.Postgres = request.getfixturevalue("_postgres")
    return postgres.blank(f"blank_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


@pytest.fixture(scope="session")
def new_postgres(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes a PostgreSQL database of a name, without tables, and returns its URL: for what only PostgreSQL has. Skips
    in a run on SQLite alone."""
    if "postgres" not in _kinds(request.config):
        pytest.skip("needs PostgreSQL")
    postgres: databases.Postgres = request.getfixturevalue("_postgres")
    return lambda name: postgres.blank(f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


@pytest.fixture(scope="session")
def guest_image() -> Path:
    """The small guest's qcow2 (guest/README.md says what it can do), built if it is not in the cache.
    Read-only: copy it, or put a layer over it."""
    done = subprocess.run([_ROOT / "guest" / "build"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())
