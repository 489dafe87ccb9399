"""What the rules look at: a folder's files with their dialect, and what running them in memory showed.

Facts that cost something are found when a rule first asks for them, and once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, cast

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.history import applied_names
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder, Layout, read_script
from datalayer.schema.numbered.journal import JournalRow
from datalayer.schema.numbered.script import Dialect
from datalayer.schema.validate.postgres_model import Model
from datalayer.schema.validate.replay import Replay
from datalayer.schema.validate.source import Source

__all__ = ["Subject", "Target", "guess_dialect", "is_for_d1"]

Target = Literal["sqlite", "postgresql", "d1"]

_POSTGRES_WORDS_LIST = """
SERIAL BIGSERIAL SMALLSERIAL JSONB TIMESTAMPTZ CONCURRENTLY EXTENSION BYTEA UUID TSVECTOR LANGUAGE
PLPGSQL INET CIDR ENUM GIN GIST IDENTITY OWNER
"""
_POSTGRES_WORDS = frozenset(_POSTGRES_WORDS_LIST.split())
_SQLITE_WORDS_LIST = "AUTOINCREMENT PRAGMA ROWID STRICT STRFTIME JULIANDAY GLOB UNIXEPOCH"
_SQLITE_WORDS = frozenset(_SQLITE_WORDS_LIST.split())
_DIALECTS: dict[str, Dialect] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "pg": "postgresql",
    "sqlite": "sqlite",
    "turso": "sqlite",
    "d1": "sqlite",
}


@dataclass(frozen=True)
class Subject:
    """A folder under examination; `root` is the project's, where that is to be looked at too."""

    folder: Folder
    dialect: Dialect
    target: Target
    engine: Engine | None = None
    root: Path | None = None

    @cached_property
    def layout(self) -> Layout:
        """Whose layout the folder has."""
        return self.folder.layout

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The files in the order in which they are applied."""
        return tuple(Source(file, str(file.source), self.dialect) for file in self.folder.files())

    @property
    def is_sqlite(self) -> bool:
        """Whether the files are SQLite's."""
        return self.dialect == "sqlite"

    @property
    def enforces_foreign_keys(self) -> bool:
        """Whether foreign keys are enforced while these files are run: they are where others run them.

        D1 enforces them always, the drivers that drizzle uses by default; our own run does not.
        """
        return self.is_sqlite and (self.target == "d1" or self.layout == "drizzle")

    @cached_property
    def replay(self) -> Replay:
        """What happens when SQLite runs the files on an empty database; nothing for PostgreSQL's files."""
        return Replay(self.sources if self.is_sqlite else ())

    @cached_property
    def model(self) -> Model:
        """What PostgreSQL's files say that they do; nothing for SQLite's."""
        return Model(() if self.is_sqlite else self.sources)

    @cached_property
    def drizzle(self) -> dict[str, Any]:
        """Drizzle's journal as the document that it is; empty in other layouts."""
        return _journal_document(self.folder.root)

    @cached_property
    def journal_rows(self) -> dict[str, JournalRow]:
        """The database's journal of what was applied, by name; empty where none was given."""
        rows = journal.read(self.engine) if self.engine is not None else []
        return {row.name: row for row in rows if row.state == "applied"}

    @cached_property
    def applied(self) -> frozenset[str]:
        """What counts as applied in the database: the names of the plain table and of the journal.

        Nothing where none of them is a file of this folder: it is another one's history.
        """
        if self.engine is None:
            return frozenset()
        names = frozenset([*applied_names(self.engine), *self.journal_rows])
        return names if any(source.name in names for source in self.sources) else frozenset()

    @property
    def journal_path(self) -> str:
        """Where drizzle's journal lies."""
        return str(self.folder.root / "meta" / "_journal.json")

    def close(self) -> None:
        """Close the database in memory, if one was opened."""
        if "replay" in vars(self):
            self.replay.close()


def guess_dialect(folder: Folder) -> Dialect | None:
    """Guess whose SQL a folder holds: drizzle says so itself, else by words that only one engine has.

    None where the files have no such word.
    """
    if folder.layout == "d1":
        return "sqlite"
    said = _DIALECTS.get(str(_journal_document(folder.root).get("dialect", "")).lower())
    if said:
        return said
    postgres = sqlite = 0
    for file in folder.files():
        # PostgreSQL's lexical rules also go past SQLite's text; a body in dollars is one token of it
        for statement in file.statements("postgresql"):
            words = [token.upper for token in statement.tokens]
            text = " ".join(words)
            postgres += sum(word in _POSTGRES_WORDS or word == "::" for word in words)
            postgres += sum(token.text.startswith("$") for token in statement.tokens)
            postgres += "ADD CONSTRAINT" in text or "ALTER COLUMN" in text or text.startswith("CREATE TYPE")
            sqlite += sum(word in _SQLITE_WORDS for word in words) + statement.text.count("`")
            sqlite += text.startswith("INSERT OR ") or "DATETIME (" in text
    if postgres == sqlite == 0:
        return None
    return "postgresql" if postgres > sqlite else "sqlite"


def is_for_d1(folder: Folder) -> bool:
    """Say whether a wrangler file stands by: beside the folder, or up to two folders above a drizzle one."""
    if folder.layout == "d1":
        return True
    if folder.layout != "drizzle" or not isinstance(folder.root, Path):
        return False
    own = folder.root.absolute()
    names = ("wrangler.toml", "wrangler.json", "wrangler.jsonc")
    return any((place / name).is_file() for place in (own, *own.parents[:2]) for name in names)


def _journal_document(root: Traversable) -> dict[str, Any]:
    source = root / "meta" / "_journal.json"
    if not source.is_file():
        return {}
    try:
        document = json.loads(read_script(source))
    except (ValueError, MigrationRefused):
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
