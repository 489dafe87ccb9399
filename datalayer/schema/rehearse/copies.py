"""Copies that may be spoilt: of a SQLite database a file in a temporary folder, of PostgreSQL a database.

A copy goes when its block ends. What a killed process left behind goes when the next copy is made: folders
whose process is gone, databases of ours that nobody is connected to.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, LiteralString, cast
from urllib.parse import quote as escape
from urllib.parse import urlencode

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseUnavailable, MigrationRefused
from datalayer.schema import catalog, catalog_ddl
from datalayer.schema.backup_postgres import address_for_programs
from datalayer.schema.loading import no_attach
from datalayer.schema.pace import Progress
from datalayer.schema.tokens import fold, quote

__all__ = ["blank", "copy_of"]

_PREFIX = "datalayer-rehearsal-"
_CLONE = "datalayer_rehearsal_"
_STEP_PAGES = 2048


@contextmanager
def copy_of(engine: Engine, *, with_rows: bool = True, progress: Progress | None = None) -> Generator[Engine]:
    """Open a copy of a database, with its rows or without; `engine` is only read.

    SQLite: one consistent moment, by the backup API. PostgreSQL: a new database on the same server, made
    from the original as its template where nobody else is connected, else by pg_dump or through the catalog;
    without rows through the catalog or pg_dump.

    Raises DatabaseUnavailable, and MigrationRefused where the role may not create databases.
    """
    make = _copy_sqlite if engine.dialect.name == "sqlite" else _copy_postgres
    with make(engine, with_rows, progress) as copy:
        yield copy


# -- SQLite --------------------------------------------------------------------------------------


@contextmanager
def _copy_sqlite(engine: Engine, with_rows: bool, progress: Progress | None) -> Generator[Engine]:
    source: sqlite3.Connection = engine.connection()
    # a folder that only its owner may look into
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        _sweep_folders(Path(folder))
        path = Path(folder) / "copy.db"
        if with_rows:
            _ask_for_room(engine, source, folder)
        # one moment: a writer beside it would make the backup begin again
        with closing(sqlite3.connect(path, isolation_level=None)) as target, engine.transaction(read=True):
            source.execute("SELECT 1 FROM sqlite_schema").fetchone()
            if with_rows:
                source.backup(target, pages=_STEP_PAGES, progress=_telling(progress))
            else:
                _copy_schema(source, target)
        # nothing of it has to outlive a power cut
        copy = open_engine(path, Options(synchronous="OFF"))
        try:
            # what a savepoint keeps of changed pages would be as large as the database
            copy.connection().execute("PRAGMA temp_store = FILE")
            copy.connection().set_authorizer(no_attach)
            yield copy
        finally:
            copy.close()


def _ask_for_room(engine: Engine, source: sqlite3.Connection, folder: str) -> None:
    """Raise DatabaseUnavailable where the copy would fill the disk: better now than when it is full."""
    pages, size = (
        int(source.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size")
    )
    free = shutil.disk_usage(folder).free
    if free < pages * size:
        raise DatabaseUnavailable(
            f"no copy of {engine.display_url} can be made",
            why=f"it has {pages * size >> 20} MiB, and {Path(folder).parent} has {free >> 20} MiB left",
            hint="free room there, or set TMPDIR to a folder with more; --rows synthetic copies no rows",
        )


def _telling(progress: Progress | None) -> Callable[[int, int, int], object] | None:
    """Turn the backup API's (status, pages left, pages) into (done, total)."""

    def tell(_: int, left: int, total: int) -> None:
        if progress is not None:
            progress(total - left, total)

    return None if progress is None else tell


def _copy_schema(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Make every object again from its own text, in the order in which they were made."""
    shadows = {
        fold(str(name))
        for (name,) in source.execute("SELECT name FROM pragma_table_list WHERE type = 'shadow'").fetchall()
    }
    for name, sql in source.execute(
        "SELECT name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    ).fetchall():
        if fold(str(name)) not in shadows and not fold(str(name)).startswith("sqlite_"):
            target.execute(sql)
    for number in ("user_version", "application_id"):
        target.execute(f"PRAGMA {number} = {source.execute(f'PRAGMA {number}').fetchone()[0]}")


def _sweep_folders(own: Path) -> None:
    """Remove the folders of processes that are gone."""
    for folder in own.parent.glob(f"{_PREFIX}*"):
        found = re.match(rf"{_PREFIX}(\d+)-", folder.name)
        if folder != own and found and not _is_running(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":
        # os.kill would end it there; a folder more does less harm
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


# -- PostgreSQL ----------------------------------------------------------------------------------


@contextmanager
def _copy_postgres(engine: Engine, with_rows: bool, progress: Progress | None) -> Generator[Engine]:
    name = _new_name()
    with _maintenance(engine) as server:
        _sweep_databases(server)
        _claim(server, name)
        is_whole = with_rows and _from_template(engine, server, name)
        try:
            if not is_whole:
                _create(engine, server, name)
            copy = open_engine(_url(engine, name), _options(engine))
            try:
                if not is_whole:
                    _fill_clone(engine, copy, with_rows)
                if progress is not None:
                    progress(1, 1)
                yield copy
            finally:
                copy.close()
        finally:
            _run(server, f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")


@contextmanager
def blank(engine: Engine) -> Generator[Engine]:
    """Open a new and empty database on the same PostgreSQL server, dropped when the block ends.

    Raises as `copy_of` does.
    """
    name = _new_name()
    with _maintenance(engine) as server:
        _sweep_databases(server)
        _claim(server, name)
        _create(engine, server, name)
        try:
            with closing(open_engine(_url(engine, name), _options(engine))) as empty:
                if engine.schema_name != "public":
                    empty.execute(f"CREATE SCHEMA {quote(engine.schema_name)}")
                yield empty
        finally:
            _run(server, f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")


def _new_name() -> str:
    return f"{_CLONE}{int(time())}_{secrets.token_hex(4)}"


def _options(engine: Engine) -> Options:
    return replace(engine.options, pool=None, read_only=False)


def _run(connection: Any, sql: str) -> Any:
    return connection.execute(cast("LiteralString", sql))


def _url(engine: Engine, name: str) -> str:
    """Give the engine's own address with another database in it."""
    from psycopg.conninfo import conninfo_to_dict

    parameters: dict[str, Any] = dict(conninfo_to_dict(engine.address.secret_url or ""))
    parameters["dbname"] = name
    user, password = parameters.pop("user", None), parameters.pop("password", None)
    name = parameters.pop("dbname")
    who = escape(str(user), safe="") if user else ""
    who += f":{escape(str(password), safe='')}" if password else ""
    query = urlencode({key: str(value) for key, value in parameters.items()})
    return f"postgresql://{who + '@' if who else ''}/{escape(str(name), safe='')}?{query}"


@contextmanager
def _maintenance(engine: Engine) -> Generator[Any]:
    """Open a connection to the server's own database: nobody may be in the one that is a template."""
    import psycopg

    for name in ("postgres", "template1"):
        try:
            connection = psycopg.connect(_url(engine, name), autocommit=True)
        except psycopg.OperationalError:
            continue
        try:
            yield connection
        finally:
            connection.close()
        return
    raise DatabaseUnavailable(
        f"no copy of {engine.display_url} can be made",
        why="the server's databases postgres and template1 take no connection",
        hint="let the role connect to one of them",
    )


def _sweep_databases(server: Any) -> None:
    """Drop copies that a killed rehearsal left: nobody is connected to them, nor holds their lock."""
    import psycopg

    rows = _run(
        server,
        f"SELECT datname FROM pg_database d WHERE datname ~ '^{_CLONE}[0-9]+_'"
        " AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid)",
    ).fetchall()
    for (name,) in rows:
        if not server.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()[0]:
            continue
        try:
            _run(server, f"DROP DATABASE IF EXISTS {quote(name)}")
        except psycopg.Error:
            # somebody else's, or just taken
            continue
        finally:
            server.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))


def _claim(server: Any, name: str) -> None:
    """Say for as long as the connection lives that a copy of this name is in use, made or not."""
    server.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))


def _from_template(engine: Engine, server: Any, name: str) -> bool:
    """Copy the whole database by its files, which works while nobody is connected to it."""
    import psycopg

    info: Any = engine.connection().info
    source, process = str(info.dbname), int(info.backend_pid)
    engine.release()
    # the server needs a moment to notice that a connection is gone
    deadline = monotonic() + 1.0
    while server.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (process,)).fetchone():
        if monotonic() >= deadline:
            break
        sleep(0.005)
    # CREATE DATABASE itself would wait five seconds for the others to go
    others = server.execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s LIMIT 1", (source,)).fetchone()
    if others is not None:
        return False
    try:
        _run(server, f"CREATE DATABASE {quote(name)} TEMPLATE {quote(source)}")
    except psycopg.errors.ObjectInUse:
        return False
    except psycopg.errors.InsufficientPrivilege as exc:
        raise _may_not_create(engine) from exc
    return True


def _create(engine: Engine, server: Any, name: str) -> None:
    import psycopg

    try:
        _run(server, f"CREATE DATABASE {quote(name)} TEMPLATE template0 ENCODING 'UTF8'")
    except psycopg.errors.InsufficientPrivilege as exc:
        raise _may_not_create(engine) from exc


def _may_not_create(engine: Engine) -> MigrationRefused:
    return MigrationRefused(
        f"a rehearsal needs a copy of {engine.display_url}, and the role may not create databases",
        why="the files are never tried on the database itself",
        hint="ALTER ROLE ... CREATEDB, or rehearse as another role or on a copy of your own",
    )


def _fill_clone(engine: Engine, copy: Engine, with_rows: bool) -> None:
    """Bring the schema, and with it the rows, into an empty database."""
    folder = _programs(engine)
    if folder is None:
        _through_catalog(engine, copy, with_rows)
    else:
        _by_pg_dump(folder, engine, copy, with_rows)


def _programs(engine: Engine) -> Path | None:
    """Find the folder of a pg_dump that is as new as the server, with a pg_restore beside it."""
    row = engine.fetch_one("SELECT current_setting('server_version_num')::int / 10000")
    server = int(row[0]) if row else 0
    for folder in map(Path, os.get_exec_path()):
        program = shutil.which("pg_dump", path=str(folder))
        if program is None or shutil.which("pg_restore", path=str(folder)) is None:
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        major = re.search(r"(\d+)", said)
        if major and int(major[1]) >= server:
            return folder
    return None


def _by_pg_dump(folder: Path, engine: Engine, copy: Engine, with_rows: bool) -> None:
    password, source, target = engine.connection().info.password, *map(address_for_programs, (engine, copy))
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    dump = [str(folder / "pg_dump"), "--format=custom", "--no-password", f"--dbname={source}"]
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as place:
        file = Path(place) / "copy.dump"
        commands = (
            [*dump, f"--file={file}", *([] if with_rows else ["--schema-only"])],
            [str(folder / "pg_restore"), "--no-password", "--no-owner", f"--dbname={target}", str(file)],
        )
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                lines = done.stderr.strip().splitlines()
                raise DatabaseUnavailable(
                    f"no copy of {engine.display_url} could be made",
                    why=lines[-1] if lines else "pg_dump gave no reason",
                    hint="nothing was changed",
                )


def _through_catalog(engine: Engine, copy: Engine, with_rows: bool) -> None:
    """Make the schema from the catalog, and stream the rows from one snapshot of the original."""
    with engine.transaction(read=True):
        found = catalog.read(engine)
        try:
            ddl = catalog_ddl.read(engine, found)
        except DatabaseUnavailable as exc:
            raise DatabaseUnavailable(
                f"no copy of {engine.display_url} can be made without pg_dump",
                why=exc.why,
                hint="install PostgreSQL's client programs, or rehearse with rows while nobody is connected",
            ) from exc
        with copy.transaction():
            if engine.schema_name != "public":
                copy.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(engine.schema_name)}")
            for sql in ddl.before_rows:
                copy.execute(sql)
            for table in found.tables.values() if with_rows else ():
                columns = ", ".join(quote(one.name) for one in table.columns.values() if not one.is_generated)
                if columns:
                    _stream(engine.connection(), copy.connection(), f"{quote(table.name)} ({columns})")
            for sql in ddl.after_rows:
                copy.execute(sql)


def _stream(source: Any, target: Any, what: str) -> None:
    with source.cursor() as reading, target.cursor() as writing:
        with reading.copy(cast("LiteralString", f"COPY {what} TO STDOUT")) as rows:
            with writing.copy(cast("LiteralString", f"COPY {what} FROM STDIN")) as copy:
                for block in rows:
                    copy.write(block)
