"""Values that a plan would drop or change: refused unless somebody let them go, and kept in a backup then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from datalayer.schema.change import breaches
from datalayer.schema.change.breaches import Breach, refuse
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.copying import count_rows
from datalayer.schema.change.layout import converts
from datalayer.schema.change.pairing import Pair, Pairing, did_you_mean, names_in
from datalayer.schema.change.planning import Change, Plan
from datalayer.schema.change.projection import quote
from datalayer.schema.snapshot import Column, Schema, Table
from datalayer.schema.tokens import fold
from datalayer.schema.virtual import read_virtual

__all__ = ["count_values", "destroys", "has_rows", "keeps_rows", "refuse_losses"]


def refuse_losses(connection: sqlite3.Connection, schema: Schema, pairing: Pairing, consent: Consent) -> None:
    """Refuse to drop values of `schema` that nobody let go.

    Raises MigrationRefused with rows, likely renames, and likely names for those that are not there.
    """
    found = [*_lost_tables(connection, pairing, consent), *_lost_columns(connection, pairing, consent)]
    if not found:
        return
    hint = "name what may go by --drop table.column or --drop-table table, or say --allow-data-loss"
    if pairing.suggestions:
        hint = f"if it is a rename, say {' '.join(pairing.suggestions)}; else {hint}"
    raise refuse(found, "; ".join([*_named_in_vain(schema, consent), hint]))


def _named_in_vain(found: Schema, consent: Consent) -> Iterator[str]:
    """Tell of names that may go and are not there: gone already, or written otherwise."""
    names = names_in(found)
    known = {fold(name) for name in names}
    for word in sorted(consent.drop_columns | consent.drop_tables):
        question = None if fold(word) in known else did_you_mean(word, names)
        if question:
            yield f"there is no {word}: {question}"


def _lost_tables(connection: sqlite3.Connection, pairing: Pairing, consent: Consent) -> Iterator[Breach]:
    for table in pairing.dropped:
        is_free = consent.may_drop_table(table.name) or not keeps_rows(table)
        rows = 0 if is_free else count_rows(connection, table.name)
        if rows:
            message = f"the table has {rows} rows and is not in the wanted schema"
            yield Breach("data-loss", table.name, table.name, rows, message, ())


def _lost_columns(connection: sqlite3.Connection, pairing: Pairing, consent: Consent) -> Iterator[Breach]:
    for pair in pairing.pairs:
        for column in pair.dropped:
            if consent.may_drop_column(pair.found.name, column.name):
                continue
            if _has_values(connection, pair, column):
                count = count_values(connection, pair, column)
                message = f"column {column.name} has {count} values and is not in the wanted schema"
                rows = breaches.first_values(connection, pair.found, column.name)
                yield Breach("data-loss", pair.found.name, column.name, count, message, rows)


def destroys(connection: sqlite3.Connection, plan: Plan, consent: Consent) -> bool:
    """Whether a plan drops or changes values that are there: a backup comes first then."""
    if any(keeps_rows(table) and has_rows(connection, table.name) for table in plan.pairing.dropped):
        return True
    if consent.allow_data_loss and any(_may_change(change) for change in plan.changes):
        return True
    return any(
        _has_values(connection, pair, column) for pair in plan.pairing.pairs for column in pair.dropped
    )


def count_values(connection: sqlite3.Connection, pair: Pair, column: Column) -> int:
    """Count the values that go with a column."""
    if not _is_own(pair, column):
        return 0
    sql = f"SELECT count({quote(column.name)}) FROM {quote(pair.found.name)}"
    return int(connection.execute(sql).fetchone()[0])


def _has_values(connection: sqlite3.Connection, pair: Pair, column: Column) -> bool:
    condition = f"WHERE {quote(column.name)} IS NOT NULL"
    return _is_own(pair, column) and has_rows(connection, pair.found.name, condition)


def _is_own(pair: Pair, column: Column) -> bool:
    """Whether the values stand here alone: what is computed, or read from another table, is no loss."""
    return column.generated is None and keeps_rows(pair.found)


def keeps_rows(table: Table) -> bool:
    """Whether the rows of a table stand there alone, and not in another table."""
    kept = read_virtual(table.sql)
    return not (kept.has_external_content or kept.only_tells)


def has_rows(connection: sqlite3.Connection, table: str, condition: str = "") -> bool:
    """Whether a table has a row, of a condition that begins with WHERE."""
    return connection.execute(f"SELECT 1 FROM {quote(table)} {condition} LIMIT 1").fetchone() is not None


def _may_change(change: Change) -> bool:
    return change.way == "rebuild" and any(
        converts(change.pair, column)
        or (column.generated is not None and change.pair.source(column) is not None)
        for column in change.pair.wanted.columns
    )
