"""A database that lacks what the code needs: said with the names of the columns."""

from __future__ import annotations

from collections.abc import Iterable

from datalayer.engine.connection import Engine
from datalayer.engine.translate import StatementRefused
from datalayer.errors import DataLayerError, SchemaMismatch

__all__ = ["explain_refusal"]


def explain_refusal(
    exc: DataLayerError, engine: Engine, table: str, columns: Iterable[str], *, needed_by: str
) -> DataLayerError:
    """Make a statement that the database did not understand say which columns it lacks.

    All other errors are given back as they are.
    """
    if not isinstance(exc, StatementRefused | SchemaMismatch):
        return exc
    found = set(engine.probe_columns(table))
    missing = [f"{table}.{column}" for column in columns if column not in found]
    if not missing:
        return exc
    what = f"table {table}" if not found else ", ".join(missing)
    return SchemaMismatch(
        f"{engine.display_url} has no {what}",
        missing=missing,
        why=f"{needed_by} needs it; the database is older than the code, or another one",
        hint="run `datalayer migrate`",
    )
