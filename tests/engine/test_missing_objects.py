"""A database that lacks a table or a column is told apart from a statement that is wrong, on all engines."""

from __future__ import annotations

import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, SchemaMismatch


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM missing",
        "SELECT missing FROM present",
        "INSERT INTO missing VALUES (1)",
        "INSERT INTO present (missing) VALUES (1)",
        "UPDATE present SET missing = 1",
        "DELETE FROM missing",
    ],
)
def test_what_is_missing_is_a_schema_mismatch(engine: Engine, statement: str) -> None:
    engine.execute("CREATE TABLE present (a INTEGER)")

    with pytest.raises(SchemaMismatch, match="missing") as caught:
        engine.execute(statement)

    assert "datalayer migrate" in str(caught.value.hint)


def test_a_wrong_statement_is_none(engine: Engine) -> None:
    with pytest.raises(DataLayerError) as caught:
        engine.execute("SELECT a FRM missing")

    assert not isinstance(caught.value, SchemaMismatch)
