from __future__ import annotations

from collections.abc import Iterator

import pytest
from schema.pgchange.cases import CASES, FEW, Case
from schema.pgchange.made import derived_of, schema_with
from schema.pgchange.oracle import connected, rows_of, shape_of

from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.testing.postgres import PostgresServer

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=() if case.name in FEW else pytest.mark.slow) for case in CASES],
)
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
