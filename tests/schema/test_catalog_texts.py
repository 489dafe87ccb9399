from __future__ import annotations

from collections.abc import Iterator

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema import catalog
from datalayer.schema.catalog_texts import compare_texts
from datalayer.schema.check import check
from datalayer.schema.history import consolidated_sql
from datalayer.schema.postgres import derive
from datalayer.schema.snapshot import read_text

# each makes the whole schema of a server anew
pytestmark = pytest.mark.slow


@pytest.fixture
def migrated(migrated_postgres: str) -> Iterator[Engine]:
    engine = open_engine(migrated_postgres)
    yield engine
    engine.close()


def test_a_fresh_schema_has_no_drift_in_its_texts(migrated: Engine) -> None:
    schema = read_text(consolidated_sql())

    assert compare_texts(migrated, schema, derive(schema), catalog.read(migrated)) == []


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (
            "ALTER TABLE sessions DROP CONSTRAINT sessions_project_hash_length;"
            "ALTER TABLE sessions ADD CONSTRAINT sessions_project_hash_length"
            " CHECK (length(project_hash) = 63)",
            "sessions_project_hash_length",
        ),
        ("DROP INDEX sessions_name; CREATE INDEX sessions_name ON sessions (id, name)", "sessions_name"),
        (
            "DROP INDEX sessions_name; CREATE INDEX sessions_name ON sessions (name, id) WHERE name <> ''",
            "sessions_name",
        ),
    ],
)
def test_a_rule_or_index_that_says_something_else_under_its_name_is_found(
    migrated: Engine, damage: str, name: str
) -> None:
    migrated.execute(damage)

    found = [(finding.id, finding.object) for finding in check(migrated)]

    assert found == [("DL-C021", name)]


def test_a_missing_column_does_not_hide_other_drift(migrated: Engine) -> None:
    migrated.execute("ALTER TABLE sessions DROP COLUMN is_regex_active")
    migrated.execute(
        "ALTER TABLE sessions DROP CONSTRAINT sessions_project_hash_length;"
        "ALTER TABLE sessions ADD CONSTRAINT sessions_project_hash_length CHECK (length(project_hash) = 63)"
    )

    found = [finding.object for finding in check(migrated)]

    assert "sessions_project_hash_length" in found
