"""Which migrations a database has had, and where the SQL files lie: the package's own, or an app's folder.

The table is migrations(id, name, applied_at), as old programs know it. Names are those of the files without
ending.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused

__all__ = [
    "CONSOLIDATED",
    "TABLE_SQL",
    "Folder",
    "MigrationFile",
    "applied_names",
    "consolidated_sql",
    "package_files",
    "package_folder",
    "read_script",
    "record",
]

CONSOLIDATED = "consolidated_migrations.sql"
_NUMBERED = re.compile(r"(\d+)_.+\.(sql|py)\Z")

# for an app whose own schema has no such table; the package's consolidated file brings its own, with the
# same text
TABLE_SQL = """CREATE TABLE migrations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT migrations_name_unique UNIQUE,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT migrations_applied_at_utc
        CHECK (applied_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT"""  # noqa: E501 - the text is compared with the file's


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One numbered file, 0001_name.sql or .py; `name` is what the table of history holds."""

    number: int
    name: str
    source: Traversable

    @property
    def is_sql(self) -> bool:
        """Whether it is a .sql file."""
        return self.source.name.endswith(".sql")

    def read(self) -> str:
        """Its text. Raises MigrationRefused when it cannot be read or is not UTF-8."""
        return read_script(self.source)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of numbered migration files, with or without a consolidated one beside them."""

    root: Traversable

    def files(self) -> list[MigrationFile]:
        """Give the numbered files in the order of their numbers, then names.

        Raises MigrationRefused without a folder.
        """
        try:
            entries = list(self.root.iterdir())
        except OSError as exc:
            raise MigrationRefused(
                f"cannot read the migrations folder {self.root}",
                why=exc.strerror,
                hint="give the path of a folder",
            ) from exc
        found = [(match, entry) for entry in entries if (match := _NUMBERED.match(entry.name))]
        return sorted(
            (MigrationFile(int(match[1]), entry.name.rpartition(".")[0], entry) for match, entry in found),
            key=lambda file: (file.number, file.name),
        )

    def script(self) -> str:
        """Give the whole schema: the consolidated file, or all files one after the other.

        Raises MigrationRefused for a folder of .py files without a consolidated file: they need a database
        to run on.
        """
        consolidated = self.root / CONSOLIDATED
        if consolidated.is_file():
            return read_script(consolidated)
        files = self.files()
        for file in files:
            if not file.is_sql:
                raise MigrationRefused(
                    f"{self.root} has {file.source.name} and no {CONSOLIDATED}",
                    why="a new database gets its whole schema from SQL",
                    hint=f"write the schema to {CONSOLIDATED}",
                )
        # the line break ends a comment on a file's last line, the semicolon its last statement
        return "".join(f"{file.read()}\n;\n" for file in files)


def package_folder() -> Folder:
    """Give the package's own migrations.

    Installed as datalayer.migrations, in a bare checkout beside the package.
    """
    try:
        return Folder(resources.files("datalayer.migrations"))
    except ModuleNotFoundError:
        return Folder(Path(__file__).resolve().parents[2] / "migrations")


def package_files() -> list[MigrationFile]:
    """Give the package's numbered migrations in order."""
    return package_folder().files()


def consolidated_sql() -> str:
    """Give the package's whole current schema."""
    return read_script(package_folder().root / CONSOLIDATED)


def read_script(source: Traversable) -> str:
    """Read a SQL file. Raises MigrationRefused when it cannot be read or is not UTF-8."""
    try:
        return source.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise MigrationRefused(
            f"cannot read {source}", why=exc.strerror, hint="check the path and its mode"
        ) from exc
    except UnicodeDecodeError as exc:
        raise MigrationRefused(f"{source} is not UTF-8", why=str(exc), hint="save it as UTF-8") from exc


def applied_names(engine: Engine) -> tuple[str, ...]:
    """Give the names of the applied migrations in order of application; empty where no such table is.

    Another tool's table `migrations`, without a column `name`, counts as none. Two cheap reads, no lock.
    """
    if engine.dialect.name == "sqlite":
        columns = engine.fetch_all("SELECT name FROM pragma_table_xinfo('migrations', 'main')")
    else:
        columns = engine.fetch_all(
            "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped"
            " AND attrelid = to_regclass(quote_ident(%s) || '.migrations')",
            (engine.schema_name,),
        )
    if not {"id", "name"} <= {str(row[0]) for row in columns}:
        return ()
    return tuple(str(row[0]) for row in engine.fetch_all("SELECT name FROM migrations ORDER BY id"))


def record(engine: Engine, names: Sequence[str]) -> None:
    """Record migrations as applied, in this order, within the caller's transaction."""
    for name in names:
        engine.write(f"INSERT INTO migrations (name) VALUES ({engine.dialect.placeholder})", (name,))
