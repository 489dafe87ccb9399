"""Broken references among written rows, mended by the rule that a repair has for them.

What moves and what is made is counted with the rest of the salvage.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from datalayer.schema.repair.references import References
from datalayer.schema.repair.report import Step
from datalayer.schema.salvage.quarantine import Quarantine
from datalayer.schema.snapshot import Schema

__all__ = ["Settled", "settle"]


@dataclass(frozen=True, slots=True)
class Settled:
    """How many references became what their rule says, by table, and the placeholders that were made."""

    cleared: Counter[str] = field(default_factory=Counter[str])
    placeholders: list[Step] = field(default_factory=list[Step])

    def made(self, table: str) -> int:
        """Count the placeholders of a table."""
        return sum(step.count for step in self.placeholders if step.table == table)


def settle(connection: sqlite3.Connection, schema: Schema, quarantine: Quarantine) -> Settled:
    """Mend the references of all tables, until none is broken; triggers must not be there yet."""
    # the rows that wait are of the same table that this adds to
    quarantine.flush()
    references = References(connection)
    names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema")}
    there = tuple(table for table in schema.tables if table.name in names)
    references.settle(Schema(there, (), ()), None, schema.triggers)
    settled = Settled()
    for step in references.steps:
        table = step.table or ""
        if step.action == "move":
            quarantine.tables[table] += step.count
            quarantine.reasons[step.reason] += step.count
        elif step.action == "placeholder":
            settled.placeholders.append(step)
        else:
            settled.cleared[table] += step.count
    return settled
