"""What the rules look at: a folder's files with their dialect, and what running them in memory showed.

Facts that cost something are found when a rule first asks for them, and once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from datalayer.engine.connection import Engine
from datalayer.schema.history import applied_names
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import WRANGLER_FILES, Folder, Layout
from datalayer.schema.numbered.journal import JournalRow
from datalayer.schema.numbered.script import Dialect
from datalayer.schema.numbered.words import guess_dialect, journal_document
from datalayer.schema.validate.postgres_model import Model
from datalayer.schema.validate.postgres_replay import Answer, ask
from datalayer.schema.validate.replay import Replay
from datalayer.schema.validate.source import Source

__all__ = ["Subject", "Target", "guess_dialect", "is_for_d1"]

Target = Literal["sqlite", "postgresql", "d1"]


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

        D1 enforces them always, the drivers that drizzle uses by default, prisma's engine as well; our own
        run does not.
        """
        return self.is_sqlite and (self.target == "d1" or self.layout in ("drizzle", "prisma"))

    @cached_property
    def replay(self) -> Replay:
        """What happens when SQLite runs the files on an empty database; nothing for PostgreSQL's files."""
        return Replay(self.sources if self.is_sqlite else ())

    @cached_property
    def model(self) -> Model:
        """What PostgreSQL's files say that they do; nothing for SQLite's."""
        return Model(() if self.is_sqlite else self.sources)

    @cached_property
    def answer(self) -> Answer:
        """What the PostgreSQL server that was given said of the files; nothing without one."""
        engine = self.engine
        if engine is None or self.is_sqlite or engine.dialect.name == "sqlite":
            return Answer()
        return ask(engine, self.sources)

    @cached_property
    def drizzle(self) -> dict[str, Any]:
        """Drizzle's journal as the document that it is; empty in other layouts."""
        return journal_document(self.folder)

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
        return str(self.folder.journal_file)

    def close(self) -> None:
        """Close the database in memory, if one was opened."""
        if "replay" in vars(self):
            self.replay.close()


def is_for_d1(folder: Folder) -> bool:
    """Say whether a wrangler file stands by: beside the folder, or up to two folders above a drizzle one."""
    if folder.layout == "d1":
        return True
    if folder.layout != "drizzle" or not isinstance(folder.root, Path):
        return False
    own = folder.root.absolute()
    return any((place / name).is_file() for place in (own, *own.parents[:2]) for name in WRANGLER_FILES)
