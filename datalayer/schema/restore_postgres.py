"""A backup put in the place of a PostgreSQL schema, in one transaction that is verified before it commits.

The dump's SQL is run through our own connection, not by pg_restore: so the tables can be locked from the
backup of the present state to the commit, and rows be counted before it.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import IO, Any

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable, DataLayerError, MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.backup import backup
from datalayer.schema.backup_check import Examined
from datalayer.schema.backup_postgres import newest_restore, read_archive_manifest
from datalayer.schema.creation import lock_schema
from datalayer.schema.pace import Pace
from datalayer.schema.postgres_drop import drop_objects, lock_tables
from datalayer.schema.tokens import quote

__all__ = ["keep_present", "restore_postgres"]

_BLOCK = 1 << 20
# what psql understands and the server does not; newer dumps open and close with it
_PSQL_ONLY = re.compile(rb"^\\(?:un)?restrict [A-Za-z0-9]+\n", re.MULTILINE)
# settings that an older server does not know
_NEWER_SETTING = re.compile(rb"^SET transaction_timeout = 0;\n", re.MULTILINE)
_FIRST_WITH_TRANSACTION_TIMEOUT = 170_000


def restore_postgres(
    engine: Engine, found: Examined, deadline: float, pace: Pace, *, keeps_owners: bool = True
) -> Path | None:
    """Make the engine's schema what the backup holds, and give the backup of what it held.

    All of it goes first, what the backup does not know too. `keeps_owners=False` leaves out who owns what
    and who may do what. Raises DatabaseBusy, DatabaseCorrupt (the rows are not those of the backup),
    MigrationRefused (the server refuses it), DatabaseUnavailable; nothing is changed then.
    """
    with engine.transaction(isolation="READ COMMITTED"):
        kept = keep_present(engine, deadline)
        drop_objects(engine)
        try:
            if found.kind == "pg_dump":
                _run_dump(engine, found.path, pace, keeps_owners=keeps_owners)
            else:
                _run_archive(engine, found.path, pace, keeps_owners=keeps_owners)
        except engine.driver_errors as exc:
            raise _refused(engine, found.path, exc) from exc
        _verify(engine, found)
    return kept


def keep_present(engine: Engine, deadline: float) -> Path | None:
    """Lock the schema against writing, for the caller's transaction, and back up what it holds.

    None where nothing is in it. Raises DatabaseBusy, and what `backup` raises.
    """
    lock_schema(engine, deadline)
    milliseconds = max(1, round((deadline - monotonic()) * 1000))
    engine.execute(f"SET LOCAL lock_timeout = {milliseconds}")
    lock_tables(engine)
    if catalog.read(engine).is_empty:
        return None
    # of its own connection: this one is in the middle of its work
    beside = open_engine(engine.address.secret_url or "", engine.options)
    try:
        return backup(beside).path
    finally:
        beside.close()


def _refused(engine: Engine, path: Path, exc: BaseException) -> DataLayerError:
    reason = str(exc).partition("\n")[0]
    hint = "read what the server says; a backup of a newer server may not fit an older one"
    if getattr(exc, "sqlstate", None) in ("42704", "42501"):
        # undefined_object, insufficient_privilege: most often a role
        hint = "make the role that is missing, or leave owners and rights out with --no-owner"
    return MigrationRefused(
        f"{engine.display_url} refused the backup {path}; nothing was changed", why=reason, hint=hint
    )


def _verify(engine: Engine, found: Examined) -> None:
    # a dump empties the search path for all of its own statements
    engine.execute(f"SET LOCAL search_path = {quote(engine.schema_name)}")
    for name, rows in found.rows.items():
        row = engine.fetch_one(f"SELECT count(*) FROM {quote(engine.schema_name)}.{quote(name)}")
        if row != (rows,):
            raise DatabaseCorrupt(
                f"the restore of {engine.display_url} does not verify; nothing was changed",
                why=f"{name} has {row[0] if row else 0} rows of {rows}",
                hint="look for a trigger or rule that changes rows as they come",
            )


# -- pg_dump -----------------------------------------------------------------------------------


def _run_dump(engine: Engine, path: Path, pace: Pace, *, keeps_owners: bool) -> None:
    program = newest_restore()
    connection: Any = engine.connection()
    server: int = connection.info.server_version
    options = [f"--schema={engine.schema_name}", *(() if keeps_owners else ("--no-owner", "--no-privileges"))]
    with _script(program, path, ["--section=pre-data", *options]) as script:
        connection.execute(_runnable(script.read(), server), prepare=False)
    with _script(program, path, ["--section=data", *options]) as script:
        _run_rows(connection, script, server, pace)
    with _script(program, path, ["--section=post-data", *options]) as script:
        connection.execute(_runnable(script.read(), server), prepare=False)


@contextmanager
def _script(program: Path, path: Path, options: list[str]) -> Generator[IO[bytes]]:
    """Give a part of a dump as SQL."""
    command = [str(program), *options, "--file=-", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        process.stdout.read()
    if process.returncode:
        raise DatabaseUnavailable(
            f"pg_restore cannot read {path}",
            why="the program is older than the dump, or the dump is damaged",
            hint="run `datalayer backups --verify`",
        )


def _runnable(text: bytes, server: int) -> bytes:
    text = _PSQL_ONLY.sub(b"", text)
    return text if server >= _FIRST_WITH_TRANSACTION_TIMEOUT else _NEWER_SETTING.sub(b"", text)


def _run_rows(connection: Any, script: IO[bytes], server: int, pace: Pace) -> None:
    r"""Run the part with the rows: statements, and between COPY and `\.` rows."""
    statements: list[bytes] = []
    done = 0
    for line in script:
        if not (line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n")):
            statements.append(line)
            continue
        connection.execute(_runnable(b"".join(statements), server), prepare=False)
        statements = []
        with connection.cursor() as cursor, cursor.copy(line.rstrip()[:-1]) as copy:
            for row in script:
                if row == b"\\.\n":
                    break
                copy.write(row)
        done += 1
        pace.step(done, done)
    connection.execute(_runnable(b"".join(statements), server), prepare=False)


# -- our own archive ---------------------------------------------------------------------------


def _run_archive(engine: Engine, path: Path, pace: Pace, *, keeps_owners: bool) -> None:
    connection: Any = engine.connection()
    if not engine.fetch_one("SELECT 1 FROM pg_namespace WHERE nspname = %s", (engine.schema_name,)):
        engine.execute(f"CREATE SCHEMA {quote(engine.schema_name)}")
    engine.execute(f"SET LOCAL search_path = {quote(engine.schema_name)}")
    with zipfile.ZipFile(path) as archive:
        manifest = read_archive_manifest(archive)
        tables = manifest["tables"]
        for statement in manifest["before_rows"]:
            connection.execute(statement.encode(), prepare=False)
        for number, table in enumerate(tables, 1):
            columns = ", ".join(quote(column) for column in table["columns"])
            statement = f"COPY {quote(table['name'])} ({columns}) FROM STDIN"
            with (
                archive.open(table["file"]) as rows,
                connection.cursor() as cursor,
                cursor.copy(statement.encode()) as copy,
            ):
                while block := rows.read(_BLOCK):
                    copy.write(block)
            pace.step(number, len(tables))
        after: list[str] = [*manifest["after_rows"]]
        if keeps_owners:
            # an older archive tells of none
            after += manifest.get("owners", ())
        for statement in after:
            connection.execute(statement.encode(), prepare=False)
