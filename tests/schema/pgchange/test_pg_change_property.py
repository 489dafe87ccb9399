from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from schema.pgchange.made import derived_of, schema_with
from schema.pgchange.oracle import connected, run, shape_of
from schema.schemas import Made, schemas

from datalayer.errors import MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.schema.tokens import quote
from datalayer.testing.postgres import PostgresServer


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


def rows_for(made: Made) -> list[str]:
    return [f"INSERT INTO {quote(table.name)} (id_) SELECT generate_series(1, 3)" for table in made.tables]


@pytest.mark.slow
@given(schemas(), schemas())
def test_any_schema_becomes_any_other_and_the_first_again(url: str, one: Made, other: Made) -> None:
    consent = Consent(allow_data_loss=True)
    with schema_with(url, one.script) as engine, connected(url, engine.schema_name) as connection:
        for statement in rows_for(one):
            run(connection, statement)
        for target in (other, one):
            with schema_with(url, target.script) as fresh, connected(url, fresh.schema_name) as wanted:
                before = shape_of(connection, engine.schema_name)
                try:
                    migrate_existing(engine, derived_of(target.script), consent=consent, exact=True)
                except MigrationRefused as refused:
                    assert "nothing was changed" in refused.what
                    assert {finding["id"] for finding in refused.findings} <= {
                        "not-null", "check", "unique", "foreign-key", "changed-value", "unchangeable",
                    }  # fmt: skip
                    assert shape_of(connection, engine.schema_name) == before
                else:
                    found = shape_of(connection, engine.schema_name)
                    assert found == shape_of(wanted, fresh.schema_name)
                run(wanted, f"DROP SCHEMA {fresh.schema_name} CASCADE")
        run(connection, f"DROP SCHEMA {engine.schema_name} CASCADE")
