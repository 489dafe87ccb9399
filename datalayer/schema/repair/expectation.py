"""What a database should be: which of the wanted schema applies to what is found in it.

Knows the target of migrations; cures nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from datalayer.schema.change.migrate import Wanted
from datalayer.schema.check.rule import Rule
from datalayer.schema.finding import Finding
from datalayer.schema.history import recorded_names
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.target import HEADER, Target, own_target
from datalayer.schema.tokens import fold

__all__ = ["Expectation"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """The schema and the rules that a database is held to; without a target only what it says of itself.

    Rows that break one of `rules` move to lost_and_found; of those that break one of `told` it is only said.
    `is_header_lost`: the numbers of the header are not to be believed, so the wanted schema's count.
    """

    target: Target | None = None
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    told: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    is_header_lost: bool = False

    @property
    def schema(self) -> Schema | None:
        """The wanted schema, for a file that does not tell its own."""
        return None if self.target is None or self.target.whole is None else self.target.whole.schema

    def for_database(self, connection: sqlite3.Connection) -> tuple[Wanted | None, list[Finding]]:
        """Give the schema to bring this database to, and what there is to say where it does not apply.

        It does not to an empty database, to one that is not the package's own, and to one that is older: to
        migrate it is another matter than to repair it.
        """
        if self.target is None or self.target.whole is None:
            return None, []
        found = read(connection)
        if not (found.tables or found.views):
            message = "the database is empty: run `datalayer migrate`"
            return None, [Finding("DL-C024", "error", None, None, 1, message, "manual")]
        ours = {fold(table.name) for table in self.target.schema.tables} - {*JOURNAL_TABLES}
        if self.target.is_own and not ours & {fold(table.name) for table in found.tables}:
            return None, []
        applied = recorded_names(connection, found)
        target = own_target(applied) if self.target.is_own else self.target
        pending = _pending(applied, target.names)
        if pending or target.whole is None:
            return None, pending
        whole = target.whole
        header = frozenset(HEADER) if self.is_header_lost else whole.header
        return Wanted(whole.schema, whole.order, header, exact=False), []


def _pending(applied: frozenset[str], names: tuple[str, ...]) -> list[Finding]:
    """Give the migrations that a database with a record of some has not had."""
    if not applied & {*names}:
        return []
    return [
        Finding(
            "DL-C030",
            "warning",
            "migrations",
            name,
            1,
            f"migration {name} is not applied: run `datalayer migrate`",
            "automatic",
        )
        for name in names
        if name not in applied
    ]
