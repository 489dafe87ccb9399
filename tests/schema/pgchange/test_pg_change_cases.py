from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from schema.pgchange.cases import CASES, Case
from schema.pgchange.oracle import connected, rows_of, run, shape_of

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.schema.postgres import Derived, derive
from datalayer.schema.snapshot import read_text
from datalayer.testing.postgres import PostgresServer

_numbers = count()


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


def derived_of(script: str) -> Derived:
    return derive(read_text(script))


@contextmanager
def schema_with(url: str, script: str, rows: str = "") -> Iterator[Engine]:
    """Give an engine on a schema of its own, made from a script and filled."""
    engine = open_engine(url, Options(schema_name=f"case_{next(_numbers)}"))
    with connected(url, engine.schema_name) as connection:
        run(connection, f"CREATE SCHEMA {engine.schema_name}")
        for step in () if script.startswith("PG:") else derived_of(script).steps:
            run(connection, step.sql)
        if script.startswith("PG:"):
            run(connection, script[3:])
        for statement in filter(str.strip, rows.split(";")):
            run(connection, statement)
    yield engine
    engine.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rows_and_schema_are_as_wanted_when(case: Case, url: str) -> None:
    derived = derived_of(case.after)
    with schema_with(url, case.before, case.rows) as engine, schema_with(url, case.after) as fresh:
        planned = migrate_existing(engine, derived, consent=case.consent, exact=case.exact, plan=True)
        done = migrate_existing(engine, derived, consent=case.consent, exact=case.exact)
        again = migrate_existing(engine, derived, consent=case.consent, exact=case.exact)

        assert again == ()
        assert not planned or done
        if case.costs is not None:
            assert {step.cost for step in planned} <= case.costs
        with connected(url, engine.schema_name) as connection, connected(url, fresh.schema_name) as other:
            found, wanted = shape_of(connection, engine.schema_name), shape_of(other, fresh.schema_name)
            if case.exact:
                assert found == wanted
            else:
                assert all(set(wanted[part]) <= set(found[part]) for part in wanted)
            for (table, columns), rows in case.keep.items():
                assert rows_of(connection, table, columns) == rows
