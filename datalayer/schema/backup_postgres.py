"""Backups of PostgreSQL: pg_dump in custom format, or an archive of our own where no pg_dump is new enough.

The archive is a zip: manifest.json (format, server, schema SQL before and after the rows, for each table
its columns, row count and sha256, who owns what and who may do what) and one file a table in COPY's text
format. All of one REPEATABLE READ snapshot.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema import catalog, catalog_ddl
from datalayer.schema.backup_file import disk_errors
from datalayer.schema.backup_owners import read_owners
from datalayer.schema.pace import Pace
from datalayer.schema.tokens import quote

__all__ = [
    "FORMAT",
    "address_for_programs",
    "choose",
    "newest_restore",
    "read_archive_manifest",
    "read_rows",
]

FORMAT = "datalayer-archive-1"
_BLOCK = 1 << 16
# the words of an address that libpq got in version 16 or later
_SINCE_LIBPQ_16 = {
    "gssdelegation", "load_balance_hosts", "max_protocol_version", "min_protocol_version", "require_auth",
    "scram_client_key", "scram_server_key", "sslcertmode", "sslkeylogfile", "sslnegotiation",
}  # fmt: skip
Writer = Callable[[Engine, Path, Pace], dict[str, int]]


def choose(engine: Engine) -> tuple[Literal["pg_dump", "archive"], Writer]:
    """Choose how to back up: by pg_dump where one in PATH is at least as new as the server, else by COPY."""
    folder = _programs(_server_major(engine))
    if folder is None:
        return "archive", _write_archive
    return "pg_dump", functools.partial(_write_dump, folder)


def _programs(server_major: int) -> Path | None:
    """Find the first folder in PATH with a pg_restore and a pg_dump that is as new as the server."""
    for folder in os.get_exec_path():
        program = shutil.which("pg_dump", path=folder)
        if program is None or shutil.which("pg_restore", path=folder) is None:
            continue
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        major = re.search(r"(\d+)", version)
        if major and int(major[1]) >= server_major:
            return Path(folder)
    return None


def newest_restore() -> Path:
    """Find the newest pg_restore in PATH: it reads the dumps of all before it.

    Raises DatabaseUnavailable where there is none.
    """
    found: list[tuple[int, Path]] = []
    for folder in os.get_exec_path():
        program = shutil.which("pg_restore", path=folder)
        if program is not None:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            major = re.search(r"(\d+)", said)
            found.append((int(major[1]) if major else 0, Path(program)))
    if not found:
        raise DatabaseUnavailable(
            "there is no pg_restore in PATH",
            why="the backup is a dump of pg_dump",
            hint="install PostgreSQL's client programs, at least as new as the server",
        )
    return max(found, key=lambda one: one[0])[1]


def read_rows(kind: str, path: Path) -> dict[str, int]:
    """Read a backup whole and count each table's rows.

    Raises DatabaseCorrupt where it cannot be read, or an archive's digests are not those of its files.
    """
    if kind == "pg_dump":
        return _rows_of_dump(newest_restore(), path)
    try:
        return _rows_of_archive(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as exc:
        raise DatabaseCorrupt(
            f"{path} is not a backup, or damaged", why=str(exc), hint="take another one"
        ) from exc


def read_archive_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read an archive's own manifest. Raises ValueError where it is another program's."""
    found: Any = json.loads(archive.read("manifest.json"))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError("it has no manifest of ours")
    return found  # pyright: ignore[reportUnknownVariableType] - JSON


def _server_major(engine: Engine) -> int:
    row = engine.fetch_one("SELECT current_setting('server_version_num')::int")
    return int(row[0]) // 10_000 if row else 0


# -- pg_dump -----------------------------------------------------------------------------------


def address_for_programs(engine: Engine) -> str:
    """Write where an engine is connected to, without the password, as pg_dump and pg_restore take it.

    They may be older than the driver's libpq, and refuse words that it fills in by itself.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given = conninfo_to_dict(engine.address.secret_url or "")
    used: dict[str, str] = engine.connection().info.get_parameters()
    return make_conninfo(**{k: v for k, v in used.items() if k in given or k not in _SINCE_LIBPQ_16})


def _write_dump(folder: Path, engine: Engine, path: Path, pace: Pace) -> dict[str, int]:
    with engine.transaction(read=True):
        info: Any = engine.connection().info
        found = catalog.read(engine)
        rows = {name: _count(engine, name) for name in found.tables}
        # pg_dump sees exactly what this transaction sees
        snapshot = engine.fetch_one("SELECT pg_export_snapshot()")
        command = [
            str(folder / "pg_dump"),
            "--format=custom",
            "--no-password",
            f"--dbname={address_for_programs(engine)}",
            f"--snapshot={snapshot[0] if snapshot else ''}",
            f"--schema={quote(engine.schema_name)}",
        ]
        environment = {**os.environ, "PGPASSWORD": info.password} if info.password else dict(os.environ)
        reason = _run_dump(command, environment, path, pace)
    if reason is not None:
        raise DatabaseUnavailable(
            f"pg_dump of {engine.display_url} failed", why=reason, hint="nothing was written"
        )
    _verify("pg_dump", rows, _rows_of_dump(folder / "pg_restore", path))
    pace.step(len(rows), len(rows))
    return rows


def _run_dump(command: list[str], environment: Mapping[str, str], path: Path, pace: Pace) -> str | None:
    """Write what pg_dump gives to the file, at its pace; give the reason where it failed."""
    with (
        disk_errors(path),
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment) as process,
    ):
        assert process.stdout is not None
        try:
            with path.open("wb") as file:
                while block := process.stdout.read(_BLOCK):
                    file.write(block)
                    pace.copied(len(block))
        except BaseException:
            process.kill()
            raise
        if not process.wait():
            return None
        said.seek(0)
        return _last_line(said.read().decode(errors="replace"))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason"


def _rows_of_dump(program: Path, path: Path) -> dict[str, int]:
    """Read the whole dump back as SQL and count the rows between COPY and its end."""
    rows: dict[str, int] = {}
    command = [str(program), "--data-only", "--file=-", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        table: str | None = None
        for line in process.stdout:
            if table is not None and line == b"\\.\n":
                table = None
            elif table is not None:
                rows[table] += 1
            elif line.startswith(b"COPY ") and line.endswith(b"FROM stdin;\n"):
                table = _copied_table(line.decode())
                rows[table] = 0
    if process.returncode:
        raise DatabaseCorrupt(f"the backup {path} cannot be read back", hint="check the disk, then try again")
    return rows


def _copied_table(line: str) -> str:
    """Take the table out of `COPY schema.table (columns) FROM stdin;`, where either name may be quoted."""
    name = re.match(r'COPY (?:"(?:[^"]|"")*"|[^".]+)\.("(?:[^"]|"")*"|[^ "]+) ', line)
    text = name[1] if name else ""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


# -- our own archive ------------------------------------------------------------------------------------


def _write_archive(engine: Engine, path: Path, pace: Pace) -> dict[str, int]:
    with engine.transaction(read=True):
        found = catalog.read(engine)
        tables: list[dict[str, Any]] = []
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number, table in enumerate(found.tables.values()):
                columns = [column.name for column in table.columns.values() if not column.is_generated]
                member = f"tables/{number}.copy"
                tables.append(_copy_out(engine, archive, table.name, columns, member, pace))
                pace.step(number + 1, len(found.tables))
            ddl = catalog_ddl.read(engine, found)
            manifest = {
                "format": FORMAT,
                "created_at": datetime.now(UTC).isoformat(),
                "server_version_num": _server_major(engine) * 10_000,
                "schema": engine.schema_name,
                "before_rows": ddl.before_rows,
                "after_rows": ddl.after_rows,
                "owners": read_owners(engine),
                "tables": tables,
            }
            archive.writestr("manifest.json", json.dumps(manifest, indent=1))
    rows = {str(table["name"]): int(table["rows"]) for table in tables}
    _verify("archive", rows, _rows_of_archive(path))
    return rows


def _copy_out(
    engine: Engine, archive: zipfile.ZipFile, name: str, columns: list[str], member: str, pace: Pace
) -> dict[str, Any]:
    digest = hashlib.sha256()
    rows = 0
    # a generated column cannot be copied in again, so it is not copied out
    statement = f"COPY {quote(name)} ({', '.join(quote(column) for column in columns)}) TO STDOUT"
    connection: Any = engine.connection()
    with archive.open(member, "w", force_zip64=True) as file, connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for block in copy:
                file.write(block)
                digest.update(block)
                rows += bytes(block).count(b"\n")
                pace.copied(len(block))
    return {"name": name, "columns": columns, "file": member, "rows": rows, "sha256": digest.hexdigest()}


def _rows_of_archive(path: Path) -> dict[str, int]:
    """Read every member back, against its sha256; in COPY's text format a line is a row."""
    rows: dict[str, int] = {}
    with zipfile.ZipFile(path) as archive:
        for table in read_archive_manifest(archive)["tables"]:
            digest = hashlib.sha256()
            count = 0
            with archive.open(table["file"]) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    count += block.count(b"\n")
            if digest.hexdigest() != table["sha256"]:
                raise ValueError(f"the rows of {table['name']} are not those that were written")
            rows[table["name"]] = count
    return rows


def _count(engine: Engine, name: str) -> int:
    row = engine.fetch_one(f"SELECT count(*) FROM {quote(name)}")
    return int(row[0]) if row else 0


def _verify(kind: str, expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    wrong = [
        f"{name} has {found.get(name)} rows of {rows}"
        for name, rows in expected.items()
        if found.get(name) != rows
    ]
    if wrong:
        raise DatabaseCorrupt(
            f"the {kind} does not verify, so it is not kept",
            why="; ".join(wrong[:5]),
            hint="check the disk, then try again",
        )
