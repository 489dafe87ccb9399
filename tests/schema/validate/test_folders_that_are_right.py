"""Folders as people have them, ten files each, in which there is nothing to tell; and what spoils them."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.schema.history import package_folder
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.validate import validate
from datalayer.schema.validate.folder import subject_of
from datalayer.schema.validate.subject import guess_dialect

FOLDERS = Path(__file__).parent / "folders"
NAMES = {
    "numbered": ("sqlite", "sqlite"),
    "numbered_postgres": ("postgresql", "postgresql"),
    "drizzle_sqlite": ("sqlite", "sqlite"),
    "drizzle_postgres": ("postgresql", "postgresql"),
    "d1/migrations": ("sqlite", "d1"),
}


@pytest.mark.parametrize("name", NAMES)
def test_there_is_nothing_to_tell(name: str) -> None:
    found = validate(Folder(FOLDERS / name))

    assert [str(one) for one in found] == []


@pytest.mark.parametrize("name", NAMES)
def test_dialect_and_target_are_guessed(name: str) -> None:
    subject = subject_of(Folder(FOLDERS / name))

    assert (subject.dialect, subject.target) == NAMES[name]
    assert len(subject.sources) >= 10
    assert [step.error for step in subject.replay.steps if step.error] == []
    subject.close()


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("CREATE TABLE a (owner text, language text, uuid text); SELECT owner, uuid FROM a", None),
        ("CREATE TABLE a (owner text); CREATE TABLE b (x integer PRIMARY KEY AUTOINCREMENT)", "sqlite"),
        ("CREATE TABLE a (inet integer, strict integer) STRICT", "sqlite"),
        ("ALTER TABLE a OWNER TO app", "postgresql"),
        ('CREATE TABLE a (id uuid, "language" text)', "postgresql"),
        ("CREATE UNIQUE INDEX CONCURRENTLY a_x ON a USING gin (x)", "postgresql"),
        ("CREATE TABLE a (x integer)", None),
    ],
)
def test_names_of_columns_do_not_decide_whose_sql_it_is(
    tmp_path: Path, text: str, dialect: str | None
) -> None:
    (tmp_path / "0001_a.sql").write_text(text, encoding="utf-8")

    assert guess_dialect(Folder(tmp_path)) == dialect


def test_foreign_keys_can_be_switched_off_in_prismas_files(tmp_path: Path) -> None:
    text = "PRAGMA foreign_keys=OFF;\nCREATE TABLE b (x integer);\nPRAGMA foreign_keys=ON;\n"
    for name in ("20240101_first", "0001_first"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "20240101_first" / "migration.sql").write_text(text, encoding="utf-8")
    (tmp_path / "0001_first" / "0001_first.sql").write_text(text, encoding="utf-8")

    told = [{one.id for one in validate(Folder(place))} for place in (tmp_path, tmp_path / "0001_first")]

    assert ["D001" in found for found in told] == [False, True]


@pytest.mark.slow
def test_the_package_has_nothing_to_tell() -> None:
    assert validate(package_folder()) == []


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "rule"),
    [
        ("numbered", "0006_product_currency.sql", "CREATE INDEX products_category ON", "-- ", "F001"),
        ("numbered", "0006_product_currency.sql", "CREATE TRIGGER products_search AFTER", "-- ", "F001"),
        ("numbered", "0009_addresses_city_nullable.sql", " ON DELETE CASCADE", "", "F005"),
        ("numbered", "0007_drop_newsletter.sql", "newsletter;", "news_letter;", "X001"),
        ("numbered", "0010_lookup.sql", "o.ordered_at", "o.placed_at", "X001"),
        ("drizzle_sqlite", "0005_grim_hawk.sql", "DEFAULT '' NOT NULL", "NOT NULL", "D003"),
        ("drizzle_sqlite", "0007_icy_rain.sql", "`image`", "`created_at`", "J010"),
        ("drizzle_postgres", "0002_deep_fog.sql", "SET LOCAL lock_timeout = '2s'", "SELECT 1", "L001"),
        ("drizzle_postgres", "0007_iron_door.sql", "numeric(14, 2)", "numeric(14, 3)", "L009"),
        ("d1/migrations", "0010_optimize.sql", "PRAGMA optimize", "PRAGMA journal_mode", "D005"),
        (
            "d1/migrations",
            "0008_comments_rating.sql",
            "TABLE comments_new (",
            "TABLE comments_new (x,",
            "none",
        ),
    ],
)
def test_one_change_is_told(tmp_path: Path, name: str, file: str, old: str, new: str, rule: str) -> None:
    top = shutil.copytree(FOLDERS / name.partition("/")[0], tmp_path / "copy")
    folder = top / name.partition("/")[2]
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    told = {one.id for one in validate(Folder(folder))}

    assert told >= ({rule} - {"none"})
    assert rule != "none" or told == set()


_TEXT = "( ) ; ' \" ` $$ -- /* , é BEGIN END SELECT CREATE ALTER DROP TABLE users INDEX NOT NULL IF EXISTS"
_WORDS = _TEXT.split()


@pytest.mark.slow
@given(
    st.sampled_from([*NAMES]),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(_WORDS)), min_size=1, max_size=6
    ),
    st.sampled_from([None, "sqlite", "postgresql"]),
)
def test_torn_files_are_told_of_and_break_nothing(
    name: str, edits: list[tuple[int, int, str]], dialect: Literal["sqlite", "postgresql"] | None
) -> None:
    with TemporaryDirectory() as there:
        folder = shutil.copytree(FOLDERS / name.partition("/")[0], Path(there, "x")) / name.partition("/")[2]
        files = sorted(folder.glob("*.sql"))
        for place, length, word in edits:
            path = files[place % len(files)]
            text = path.read_text(encoding="utf-8")
            start = place * 7 % (len(text) + 1)
            path.write_text(f"{text[:start]} {word} {text[start + length * 5 :]}", encoding="utf-8")

        found = validate(Folder(folder), dialect=dialect)

        for one in found:
            text = Path(one.file).read_text(encoding="utf-8")
            assert 1 <= one.line <= text.count("\n") + 1
