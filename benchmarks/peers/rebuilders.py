"""One table rebuilt in a process of its own, so that its time and its memory are its own.

    python -m benchmarks.peers.rebuilders TOOL FILE SCHEMA

Prints JSON: wall and CPU seconds from opening the file to closing it, the most memory that the process had.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.harness import timed
from benchmarks.peers.migrators import changes_of, read_wish
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import target_of
from datalayer.store import connect

__all__ = ["INDEXES", "TABLE", "main", "table_sql"]

TABLE = "reading"
COLUMNS = (
    "id INTEGER PRIMARY KEY",
    "device TEXT NOT NULL",
    "place TEXT",
    "kind INTEGER NOT NULL",
    "value REAL NOT NULL",
    "low REAL",
    "high REAL",
    "note TEXT",
    "seen_at TEXT NOT NULL",
    "is_open INTEGER NOT NULL DEFAULT 0",
)
INDEXES = (
    "CREATE INDEX reading_device ON reading (device, seen_at)",
    "CREATE INDEX reading_kind ON reading (kind)",
    "CREATE INDEX reading_value ON reading (value)",
)


def table_sql(columns: Sequence[str] = COLUMNS) -> str:
    return f"CREATE TABLE {TABLE} ({', '.join(columns)})"


def main(arguments: Sequence[str]) -> None:
    tool, path, schema = arguments[0], Path(arguments[1]), Path(arguments[2])
    spent = timed(_work_of(tool, path, schema))
    memory = _most_memory()
    _check(path, schema)
    print(json.dumps({**spent, "memory": memory}))


def _most_memory() -> float:
    """Give the most megabytes of this program: getrusage() would count those of the one that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        # not Linux: bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _work_of(tool: str, path: Path, schema: Path) -> Callable[[], object]:
    """Prepare all that needs no database; what is given back is measured."""
    script = schema.read_text(encoding="utf-8")
    if tool == "by hand":
        return lambda: _by_hand(path, script)
    if tool == "datalayer":
        return lambda: _datalayer(path, schema)
    wish = read_wish(path, script, {})
    changes, _ = changes_of()
    return lambda: changes[tool](path, wish)


def _datalayer(path: Path, schema: Path) -> None:
    with connect(path) as store:
        done = migrate(store.engine, target_of(schema_file=schema), consent=Consent(skip_backup=True))
        if done.nothing_to_do:
            raise AssertionError("nothing was done")


def _by_hand(path: Path, script: str) -> None:
    """Do what one would write first: new table, rows, drop, rename, indexes; no check of what was copied."""
    table, *indexes = [sql.strip() for sql in script.split(";") if sql.strip()]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        names = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({TABLE})")]
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(table.replace(TABLE, "new_table", 1))
        listed = ", ".join(names)
        connection.execute(f"INSERT INTO new_table ({listed}) SELECT {listed} FROM {TABLE}")
        connection.execute(f"DROP TABLE {TABLE}")
        connection.execute(f"ALTER TABLE new_table RENAME TO {TABLE}")
        for sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")


def _check(path: Path, schema: Path) -> None:
    """Refuse a result that is not what was to be made: a measurement of less work."""
    with closing(sqlite3.connect(path)) as found, closing(sqlite3.connect(":memory:")) as wanted:
        wanted.executescript(schema.read_text(encoding="utf-8"))
        for asked in (f"PRAGMA table_info({TABLE})", f"SELECT count(*) FROM pragma_index_list('{TABLE}')"):
            if len(found.execute(asked).fetchall()) != len(wanted.execute(asked).fetchall()):
                raise AssertionError(f"{asked} differs")


if __name__ == "__main__":
    main(sys.argv[1:])
