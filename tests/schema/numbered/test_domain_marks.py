"""Folders whose files belong to domains: read, chosen with what they need, applied in any order."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.history import applied_names
from datalayer.schema.migrator import MigrationResult, migrate
from datalayer.schema.numbered.domain import DomainMark, mark_of, with_needs
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.target import target_of

FILES = {
    "0001_base.sql": "CREATE TABLE base (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;",
    "0002_users.sql": "-- domain: people\n\nCREATE TABLE person (id INTEGER PRIMARY KEY) STRICT;",
    "0003_notes.sql": "-- domain: notes\n-- needs: people\nCREATE TABLE note (id INTEGER PRIMARY KEY,"
    " person_id INTEGER NOT NULL CONSTRAINT note_person REFERENCES person (id)) STRICT;",
    "0004_shop.sql": "-- domain: shop\nCREATE TABLE item (id INTEGER PRIMARY KEY) STRICT;",
    "0006_sold_notes.sql": "-- domain: shop, notes\nALTER TABLE note ADD COLUMN price REAL;",
    "0005_note_titles.sql": "-- domain: notes\nALTER TABLE note ADD COLUMN title TEXT;",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "migrations"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


def brought(engine: Engine, folder: Path, *domains: str) -> MigrationResult:
    return migrate(engine, target_of(folder=folder, domains=domains or None))


def test_a_mark_stands_in_the_comments_before_the_first_statement() -> None:
    assert mark_of("\ufeff-- about\n-- domain: notes\n\n-- needs: people, shop\nSELECT 1;") == DomainMark(
        ("notes",), ("people", "shop")
    )
    assert mark_of("SELECT 1;\n-- domain: notes\n") == DomainMark()
    assert mark_of("-- domain: Two Words\n") == DomainMark()


def test_needs_are_followed_also_in_a_circle() -> None:
    marks = [
        DomainMark(("a",), ("b",)),
        DomainMark(("b",), ("c",)),
        DomainMark(("c",), ("a",)),
        DomainMark(("d",)),
        DomainMark(("a", "d"), ("d",)),
    ]

    assert with_needs(marks, ["a"], "here") == {"a", "b", "c"}
    assert with_needs(marks, [], "here") == frozenset()


def test_an_unknown_domain_is_refused_with_the_near_one(folder: Path) -> None:
    with pytest.raises(MigrationRefused, match="did you mean notes"):
        target_of(folder=folder, domains=["note"])


def test_a_domain_brings_what_it_needs_and_nothing_else(engine: Engine, folder: Path) -> None:
    done = brought(engine, folder, "notes")

    assert done.applied == ("0001_base", "0002_users", "0003_notes", "0005_note_titles")
    engine.write("INSERT INTO person (id) VALUES (1)")
    engine.write("INSERT INTO note (id, person_id, title) VALUES (1, 1, 'a')")
    assert brought(engine, folder, "notes").nothing_to_do


def test_domains_come_in_any_order_and_the_rows_stay(engine: Engine, folder: Path) -> None:
    brought(engine, folder, "shop")
    engine.write("INSERT INTO item (id) VALUES (7)")

    later = brought(engine, folder, "notes")

    assert [one["id"] for one in later.findings] == []
    assert "0006_sold_notes" not in applied_names(engine)
    assert brought(engine, folder).applied == ("0006_sold_notes",)
    assert set(applied_names(engine)) == {file.name for file in Folder(folder).files()}
    assert engine.fetch_all("SELECT id FROM item") == [(7,)]


def test_a_domain_that_the_database_has_besides_stays_with_its_rows(engine: Engine, folder: Path) -> None:
    brought(engine, folder)
    engine.write("INSERT INTO item (id) VALUES (7)")

    assert brought(engine, folder, "people").nothing_to_do
    assert engine.fetch_all("SELECT id FROM item") == [(7,)]
