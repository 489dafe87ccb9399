"""A schema of PostgreSQL that nobody keeps: made within a transaction, filled, read, and undone.

Has a name of its own each time, so that two at once do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Protocol

from datalayer.engine.connection import Engine

__all__ = ["Scratch", "new_name", "scratch_schema", "undone"]


class _Undo(Exception):
    """Leaves a transaction so that nothing of it is kept."""


class Transactional(Protocol):
    """What opens transactions: an engine, or a connection of its own."""

    def transaction(self) -> AbstractContextManager[object]:
        """Open a transaction, or a savepoint in the one that is open."""
        ...


@dataclass(slots=True)
class Scratch:
    """One schema of an engine's database, as `catalog.read` takes it."""

    engine: Engine
    schema_name: str

    def fetch_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute and give all rows."""
        return self.engine.fetch_all(sql, params)


@contextmanager
def undone(database: Transactional) -> Generator[None]:
    """Keep nothing of what the block does: it is a transaction, or a savepoint, that is rolled back."""
    try:
        with database.transaction():
            yield
            raise _Undo
    except _Undo:
        return


@contextmanager
def scratch_schema(engine: Engine) -> Generator[Scratch]:
    """Make an empty schema, the only one on the search path until the block ends and undoes it.

    Raises DatabaseUnavailable where the role may not create one.
    """
    with undone(engine):
        name = new_name()
        engine.execute(f"CREATE SCHEMA {name}")
        engine.execute(f"SET LOCAL search_path = {name}")
        yield Scratch(engine, name)


def new_name() -> str:
    """Make up a name for such a schema, which needs no quotes."""
    return f"datalayer_scratch_{token_hex(6)}"
