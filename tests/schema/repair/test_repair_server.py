"""PostgreSQL: what is safe is done, the rest is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import DataLayerError
from datalayer.schema.migrator import migrate
from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.repair.server import plan_server_repair, repair_server
from datalayer.schema.target import target_of

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
CREATE TABLE child (
    id INTEGER PRIMARY KEY,
    parent_id INTEGER CONSTRAINT child_parent REFERENCES parent (id),
    size INTEGER NOT NULL CONSTRAINT child_size CHECK (size > 0)
);
CREATE UNIQUE INDEX parent_name ON parent (name);
CREATE INDEX child_parent_id ON child (parent_id);
"""


@pytest.fixture
def wanted(tmp_path: Path) -> Expectation:
    file = tmp_path / "wanted.sql"
    file.write_text(SCHEMA, encoding="utf-8")
    return Expectation(target_of(schema_file=file))


@pytest.fixture
def server(postgres_database: str, wanted: Expectation) -> Iterator[Engine]:
    opened = open_engine(postgres_database)
    assert wanted.target is not None
    migrate(opened, wanted.target)
    opened.write("INSERT INTO public.parent (name) SELECT 'p' || n FROM generate_series(1, 20) AS n")
    opened.write("INSERT INTO public.child (parent_id, size) SELECT n, n FROM generate_series(1, 20) n")
    yield opened
    opened.close()


def actions(server: Engine, wanted: Expectation) -> list[tuple[str, str | None]]:
    plan = plan_server_repair(server, wanted)
    report = repair_server(server, wanted)
    assert [step.action for step in report.plan.steps] == [step.action for step in plan.steps]
    return [(step.action, step.object) for step in report.plan.steps]


def test_a_sound_server_has_nothing_to_repair(server: Engine, wanted: Expectation) -> None:
    report = repair_server(server, wanted)

    assert report.nothing_to_do and report.left == ()


def test_sequences_validations_and_missing_indexes_are_put_right(server: Engine, wanted: Expectation) -> None:
    server.write("INSERT INTO public.parent (id, name) OVERRIDING SYSTEM VALUE VALUES (500, 'far')")
    server.write("ALTER TABLE public.child DROP CONSTRAINT child_size")
    server.write("ALTER TABLE public.child ADD CONSTRAINT child_size CHECK (size > 0) NOT VALID")
    server.write("DROP INDEX public.child_parent_id")

    done = actions(server, wanted)

    assert {action for action, _ in done} == {"sequence", "validate", "schema"}
    assert repair_server(server, wanted).nothing_to_do
    assert server.write_one("INSERT INTO public.parent (name) VALUES ('next') RETURNING id") == (501,)


def test_an_invalid_index_is_made_anew(server: Engine, wanted: Expectation) -> None:
    server.write("DROP INDEX public.parent_name")
    server.write("UPDATE public.parent SET name = 'p1' WHERE name = 'p2'")
    with pytest.raises(DataLayerError):
        server.write("CREATE UNIQUE INDEX CONCURRENTLY parent_name ON public.parent (name)")

    twice = repair_server(server, wanted)
    server.write("UPDATE public.parent SET name = 'p2' WHERE id = 2")
    done = actions(server, wanted)

    assert [one.id for one in twice.left] == ["DL-C050"] and twice.left[0].repair == "manual"
    assert done == [("reindex", "parent_name")]
    assert repair_server(server, wanted).nothing_to_do


def test_rows_that_break_a_rule_are_left_to_people(server: Engine, wanted: Expectation) -> None:
    server.write("ALTER TABLE public.child DROP CONSTRAINT child_parent")
    server.write("UPDATE public.child SET parent_id = 777 WHERE id < 3")
    server.write(
        "ALTER TABLE public.child ADD CONSTRAINT child_parent FOREIGN KEY (parent_id)"
        " REFERENCES public.parent (id) NOT VALID"
    )

    report = repair_server(server, wanted)

    assert report.nothing_to_do
    assert [(one.id, one.object, one.count) for one in report.left] == [("DL-C051", "child_parent", 2)]
    assert server.fetch_all("SELECT count(*) FROM public.child WHERE parent_id = 777") == [(2,)]
