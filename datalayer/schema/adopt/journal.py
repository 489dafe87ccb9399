"""What another migration tool's journal says, as values, and what its readers read with.

Knows the engine; nothing of folders and files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from datalayer.engine.connection import Engine
from datalayer.schema.tokens import fold

__all__ = ["Entry", "ForeignJournal", "Relation", "Source", "number_of"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One migration that a tool calls applied.

    `name` is what the tool calls it, `version` its number where it has one, `checksum` what the tool keeps of
    the content, `when` drizzle's time in milliseconds, `app` Django's. `replaced` are the names that stand
    for it (Django's squashed migrations).
    """

    name: str
    applied_at: datetime | None = None
    version: int | None = None
    checksum: str = ""
    when: int | None = None
    app: str = ""
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignJournal:
    """One journal: whose it is, the table it is in, and what it calls applied, in order.

    `mark` is the highest version of a journal that holds no names: everything up to it is applied.
    `baseline` is the version below which the tool applied nothing itself. `blocked` says why it cannot be
    taken over as it stands, `to_repair` what to do then. `tables` are the tool's own, in folded letters.
    """

    tool: str
    table: str
    entries: tuple[Entry, ...] = ()
    mark: int | None = None
    baseline: str = ""
    blocked: str = ""
    to_repair: str = ""
    tables: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The tool and its table, as our journal records it."""
        return f"{self.tool} {self.table}"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table of the live database; `schema` is empty on SQLite, `columns` are in folded letters."""

    schema: str
    name: str
    columns: frozenset[str]

    @property
    def shown(self) -> str:
        """The name as people write it; PostgreSQL's own schema of the engine is left out."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Source:
    """One recognised table, for its reader: the rows in it and the relations beside it."""

    engine: Engine
    relation: Relation
    beside: Sequence[Relation]

    def rows(self, *columns: str, order: str, relation: Relation | None = None) -> list[tuple[object, ...]]:
        """Give all rows; a column that the table lacks is None in each.

        `order` are names of columns, separated by commas, or rowid.
        """
        table = relation or self.relation
        quote = self.engine.dialect.quote
        names = ", ".join(quote(name) if name in table.columns else "NULL" for name in columns)
        place = f"{quote(table.schema)}.{quote(table.name)}" if table.schema else quote(table.name)
        keys = ", ".join(quote(key) if key != "rowid" else key for key in order.split(", "))
        return self.engine.fetch_all(f"SELECT {names} FROM {place} ORDER BY {keys}")

    def other(self, name: str) -> Relation | None:
        """Give the table of this name, in folded letters, in the same schema, or None."""
        found = (table for table in self.beside if fold(table.name) == name)
        return next((table for table in found if table.schema == self.relation.schema), None)


def number_of(value: object) -> int | None:
    """Give a version as a number; None for one that is not whole, as 1.2 is."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None
