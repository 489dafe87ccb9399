"""Full-text tables of SQLite become indexes of PostgreSQL, with the same words found on both."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.check import check
from datalayer.schema.migrator import migrate
from datalayer.schema.postgres import derive
from datalayer.schema.postgres_words import read_word_table, tsvector
from datalayer.schema.snapshot import read_text
from datalayer.schema.target import target_of

SCHEMA = """
CREATE TABLE page (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    "the body" TEXT
) STRICT;

CREATE VIRTUAL TABLE page_words USING fts5(
    title, "the body", content='page', content_rowid='id', tokenize="unicode61 remove_diacritics 0"
);

CREATE TRIGGER page_words_insert AFTER INSERT ON page BEGIN
    INSERT INTO page_words (rowid, title, "the body") VALUES (NEW.id, NEW.title, NEW."the body");
END;
CREATE TRIGGER page_words_delete AFTER DELETE ON page BEGIN
    INSERT INTO page_words (page_words, rowid, title, "the body")
    VALUES ('delete', OLD.id, OLD.title, OLD."the body");
END;
CREATE TRIGGER page_words_update AFTER UPDATE ON page BEGIN
    INSERT INTO page_words (page_words, rowid, title, "the body")
    VALUES ('delete', OLD.id, OLD.title, OLD."the body");
    INSERT INTO page_words (rowid, title, "the body") VALUES (NEW.id, NEW.title, NEW."the body");
END;
"""
PAGES = [
    (1, "Größe", "the path /usr/lib_x and mail@example.org"),
    (2, "it's 100% done", None),
    (3, "élan", "snake_case, kebab-case; 3.14"),
]


@pytest.fixture
def schema_file(tmp_path: Path) -> Path:
    path = tmp_path / "schema.sql"
    path.write_text(SCHEMA)
    return path


def found(engine: Engine, word: str) -> list[int]:
    if engine.dialect.name == "sqlite":
        sql, asked = "SELECT rowid FROM page_words WHERE page_words MATCH ? ORDER BY 1", f'"{word}"'
    else:
        words = tsvector(["title", "the body"])
        sql = f"SELECT id FROM page WHERE ({words}) @@ to_tsquery('simple', %s) ORDER BY 1"
        sql, asked = sql.replace("%&", "%%&"), f"'{word}'"
    return [number for (number,) in engine.fetch_all(sql, (asked,))]


def test_the_same_words_are_found_on_both_engines(engine: Engine, schema_file: Path) -> None:
    migrate(engine, target_of(schema_file=schema_file))
    mark = engine.dialect.placeholder
    for page in PAGES:
        engine.write(f'INSERT INTO page (id, title, "the body") VALUES ({mark}, {mark}, {mark})', page)

    expected = [
        ("größe", [1]),
        ("usr", [1]),
        ("lib", [1]),
        ("example", [1]),
        ("org", [1]),
        ("s", [2]),
        ("100", [2]),
        ("done", [2]),
        ("élan", [3]),
        ("elan", []),
        ("snake", [3]),
        ("14", [3]),
        ("case", [3]),
    ]
    assert [(word, found(engine, word)) for word, _ in expected] == expected


def test_what_was_made_is_what_is_expected(engine: Engine, schema_file: Path) -> None:
    target = target_of(schema_file=schema_file)
    migrate(engine, target)

    assert migrate(engine, target).nothing_to_do
    assert check(engine, expected=target.schema) == []


def test_an_index_that_is_gone_is_told_and_made_again(engine: Engine, schema_file: Path) -> None:
    target = target_of(schema_file=schema_file)
    migrate(engine, target)
    is_sqlite = engine.dialect.name == "sqlite"
    engine.execute("DROP TABLE page_words" if is_sqlite else "DROP INDEX page_words")

    assert "page_words" in {one.object or one.table for one in check(engine, expected=target.schema)}
    assert not migrate(engine, target).nothing_to_do
    assert check(engine, expected=target.schema) == []


def test_a_full_text_table_with_a_text_of_its_own_is_refused() -> None:
    with pytest.raises(MigrationRefused, match="notes cannot be made on PostgreSQL"):
        derive(read_text("CREATE VIRTUAL TABLE notes USING fts5(body)"))


def test_options_are_no_columns() -> None:
    words = read_word_table(
        "CREATE VIRTUAL TABLE IF NOT EXISTS main.w"
        " USING FTS5 (a, b UNINDEXED, content = [my page], prefix='2 3')"
    )

    assert words is not None
    assert (words.name, words.content, words.columns) == ("w", "my page", ("a",))
    assert read_word_table("CREATE VIRTUAL TABLE w USING fts5(a, content='')") is None
    assert read_word_table("CREATE VIRTUAL TABLE w USING rtree(id, a, b)") is None
