from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.migration_folder import make_drizzle_folder, make_folder

from datalayer.errors import MigrationRefused
from datalayer.schema.history import package_folder
from datalayer.schema.numbered.folder import Folder, checksum_of_text
from datalayer.schema.numbered.manner import foreign_keys_wish, manner_of
from datalayer.schema.numbered.new_file import new_file
from datalayer.schema.numbered.script import Dialect, normal_form, statements


def _names(folder: Folder) -> list[str]:
    return [file.name for file in folder.files()]


def test_files_come_in_the_order_of_their_numbers_then_names(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"10_c.sql": "", "9_b.sql": "", "0009_a.py": "", "notes.sql": "", "x": ""})

    assert [(file.number, file.name, file.kind) for file in folder.files()] == [
        (9, "0009_a", "python"),
        (9, "9_b", "sql"),
        (10, "10_c", "sql"),
    ]


def test_a_number_may_be_a_time_and_a_dash_may_follow_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"20240102030405_add-notes.sql": "", "0001-first.sql": ""})

    assert [(file.number, file.name) for file in folder.files()] == [
        (1, "0001-first"),
        (20240102030405, "20240102030405_add-notes"),
    ]


def test_files_that_undo_are_left_out_and_up_is_no_part_of_the_name(tmp_path: Path) -> None:
    undo = ["000001_a.down.sql", "000001_a.rollback.sql", "000001_a.rollback.py", "02-b-down.sql"]
    files = {"000001_a.up.sql": "SELECT 1", "02-b-up.sql": "", "03_shut-down.sql": ""}
    folder = make_folder(tmp_path, files | dict.fromkeys(undo, "DROP TABLE a"))

    assert _names(folder) == ["000001_a", "02-b-up", "03_shut-down"]
    assert folder.problems() == []
    assert folder.files()[0].read() == "SELECT 1"


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("-- migrate:up", "-- migrate:down"),
        ("-- migrate:up transaction:false", "-- migrate:down"),
        ("-- +goose Up", "-- +goose Down"),
        ("-- +migrate Up", "-- +migrate Down"),
        ("-- Up Migration", "-- Down Migration"),
    ],
)
def test_only_the_section_that_brings_up_is_run_on_its_own_lines(tmp_path: Path, up: str, down: str) -> None:
    text = f"{up}\nCREATE TABLE a (x);\n{down}\nDROP TABLE a;\n"
    folder = make_folder(tmp_path, {"1_a.sql": text})

    statements = folder.files()[0].statements()
    assert [(one.text, one.line) for one in statements] == [("CREATE TABLE a (x)", 2)]
    assert "DROP" not in folder.script()


def test_a_section_that_undoes_may_stand_first(tmp_path: Path) -> None:
    text = "-- migrate:down\nDROP TABLE a;\n-- migrate:up\nCREATE TABLE a (x);"
    folder = make_folder(tmp_path, {"1_a.sql": text})

    assert [(one.verb, one.line) for one in folder.files()[0].statements()] == [("CREATE", 4)]


def test_a_drizzle_folder_is_ordered_by_idx_whatever_when_and_names_say(tmp_path: Path) -> None:
    files = {"0002_z": "SELECT 1", "0001_a": "SELECT 2", "0003_m": "SELECT 3"}
    folder = make_drizzle_folder(tmp_path, files, whens={"0002_z": 900, "0001_a": 100, "0003_m": 50})

    assert folder.layout == "drizzle"
    assert _names(folder) == ["0002_z", "0001_a", "0003_m"]
    assert [file.when for file in folder.files()] == [900, 100, 50]
    assert [entry.tag for entry in folder.journal or ()] == ["0002_z", "0001_a", "0003_m"]


def test_what_drizzles_journal_and_files_disagree_in_is_told(tmp_path: Path) -> None:
    folder = make_drizzle_folder(tmp_path, {"0000_a": "", "0001_gone": "", "0002_c": ""})
    (tmp_path / "0001_gone.sql").unlink()
    (tmp_path / "0009_stray.sql").write_text("", encoding="utf-8")
    journal = tmp_path / "meta" / "_journal.json"
    document = json.loads(journal.read_text(encoding="utf-8"))
    document["entries"].append(document["entries"][0])
    journal.write_text(json.dumps(document), encoding="utf-8")

    assert _names(folder) == ["0000_a", "0002_c"]
    assert [(one.kind, one.name) for one in folder.problems()] == [
        ("no file", "0001_gone"),
        ("no entry", "0009_stray"),
        ("double entry", "0000_a"),
    ]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"entries": [1]}', '{"entries": [{"idx": 0, "tag": "../x", "when": 1}]}', '{"entries": 1}'],
)
def test_a_journal_that_is_not_drizzles_is_refused_by_name(tmp_path: Path, text: str) -> None:
    folder = make_drizzle_folder(tmp_path, {})
    (tmp_path / "meta" / "_journal.json").write_text(text, encoding="utf-8")

    with pytest.raises(MigrationRefused, match=r"_journal\.json is not a drizzle journal"):
        folder.files()


def test_breakpoints_separate_statements_without_semicolons(tmp_path: Path) -> None:
    text = (
        "CREATE TABLE a (x)\n--> statement-breakpoint\nCREATE TABLE b (y);--> statement-breakpoint\n"
        "INSERT INTO a VALUES ('--> statement-breakpoint')"
    )
    folder = make_drizzle_folder(tmp_path, {"0000_a": text})

    statements = folder.files()[0].statements()
    assert [(one.verb, one.line) for one in statements] == [("CREATE", 1), ("CREATE", 3), ("INSERT", 4)]
    assert [one.text for one in folder.files()[0].statements("postgresql")] == [
        one.text for one in statements
    ]


@pytest.mark.parametrize("name", ["wrangler.toml", "wrangler.json", "wrangler.jsonc"])
def test_a_folder_beside_a_wrangler_file_is_d1s(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path / "migrations", {"0001_a.sql": "CREATE TABLE a (x)"})
    assert folder.layout == "numbered"
    (tmp_path / name).write_text("", encoding="utf-8")

    assert folder.layout == "d1"
    assert _names(folder) == ["0001_a"]


def test_the_packages_own_folder_is_a_numbered_one() -> None:
    folder = package_folder()

    assert folder.layout == "numbered"
    assert _names(folder)[0] == "0001_foundation"


def test_a_missing_folder_and_a_file_that_is_not_utf8_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="cannot read the migrations folder"):
        Folder(tmp_path / "nothing").files()
    folder = make_folder(tmp_path, {"1_a.sql": ""})
    (tmp_path / "1_a.sql").write_bytes(b"SELECT '\xff'")
    with pytest.raises(MigrationRefused, match=r"1_a\.sql is not UTF-8"):
        folder.files()[0].read()


@pytest.mark.parametrize(
    "text",
    [
        "create table A ( x integer ) ; insert into a values ('It''s')",
        "CREATE TABLE A(x INTEGER);\r\nINSERT INTO a VALUES('It''s')",
        "\ufeff-- why\nCREATE /* and\nhow */ TABLE a (x INTEGER);\n\n\nINSERT INTO a VALUES ('It''s')",
        "CREATE TABLE a (x integer);--> statement-breakpoint\nINSERT INTO a VALUES ('It''s')",
    ],
)
def test_layout_comments_and_case_change_the_raw_checksum_only(tmp_path: Path, text: str) -> None:
    first = make_folder(
        tmp_path / "1", {"1_a.sql": "CREATE TABLE a(x INTEGER);INSERT INTO a VALUES('It''s')"}
    )
    second = make_folder(tmp_path / "2", {"1_a.sql": text})

    assert first.files()[0].checksum_norm == second.files()[0].checksum_norm
    assert first.files()[0].checksum_raw != second.files()[0].checksum_raw


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 'a'", "SELECT 'A'"),
        ("SELECT '--'", "SELECT '-- '"),
        ('SELECT "a"', 'SELECT "A"'),
        ("SELECT [a b]", "SELECT [A b]"),
        ("SELECT `a--b`", "SELECT `a--c`"),
        ("DO $$ x $$", "DO $$ X $$"),
        ("DO $$ -- a\n$$", "DO $$ -- b\n$$"),
        (r"SELECT E'it\'s --a'", r"SELECT E'it\'s --b'"),
        ("SELECT a b", "SELECT ab"),
        ("SELECT 1; SELECT 2", "SELECT 2; SELECT 1"),
    ],
)
def test_a_change_of_meaning_changes_the_normal_checksum(one: str, other: str) -> None:
    assert checksum_of_text(one, "sql") != checksum_of_text(other, "sql")


def test_line_ends_and_trailing_blanks_are_free_in_python_files_and_indentation_is_not() -> None:
    text = "def up(store):\n    pass\n"

    assert checksum_of_text(text, "python") == checksum_of_text(
        "def up(store):  \r\n    pass\r\n\r\n", "python"
    )
    assert checksum_of_text(text, "python") != checksum_of_text("def up(store):\n        pass\n", "python")


_POSTGRES_SCRIPT = r"""
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  RAISE NOTICE 'a; $$ b';
  RETURN NEW;
END; $body$;
DO $$ BEGIN PERFORM 1; END $$;
SELECT E'it\'s; here', U&'d\0061t;a', 'it''s; there', "odd;name", $1;
/* outer /* inner; */ still; */ SELECT 1;
CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2));
SELECT a[1:2], b::text, '{"x"}'::jsonb -> 'x' -- done; here
"""


def test_postgresqls_own_texts_are_not_split(tmp_path: Path) -> None:
    file = make_folder(tmp_path, {"1_a.sql": _POSTGRES_SCRIPT}).files()[0]

    statements = file.statements("postgresql")
    assert [(one.line, one.verb, one.text.split()[1]) for one in statements] == [
        (2, "CREATE", "FUNCTION"),
        (7, "DO", "$$"),
        (8, "SELECT", "E'it\\'s;"),
        (9, "SELECT", "1"),
        (10, "CREATE", "FUNCTION"),
        (11, "CREATE", "RULE"),
        (12, "SELECT", "a[1:2],"),
    ]


def test_a_trigger_is_one_statement_of_sqlites(tmp_path: Path) -> None:
    text = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END;\nSELECT 3"
    file = make_folder(tmp_path, {"1_a.sql": text}).files()[0]

    assert [(one.verb, one.line) for one in file.statements()] == [("CREATE", 1), ("SELECT", 2)]


_WHOLE = [
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a.b ON c (d)",
    "ALTER TABLE IF EXISTS ONLY a.b ADD COLUMN IF NOT EXISTS c text",
    "ALTER TABLE a DETACH PARTITION b CONCURRENTLY",
    "ALTER TYPE a ADD VALUE IF NOT EXISTS 'b'",
    "PRAGMA main.foreign_keys = ON",
    "REINDEX TABLE CONCURRENTLY a",
    "DROP INDEX CONCURRENTLY IF EXISTS a",
]


@pytest.mark.parametrize("text", _WHOLE)
def test_a_statement_that_breaks_off_is_left_to_the_database(text: str) -> None:
    words = text.split()
    dialects: list[Dialect] = ["sqlite", "postgresql"]
    for count in range(1, len(words) + 1):
        for one in statements(" ".join(words[:count]), "postgresql"):
            for dialect in dialects:
                assert manner_of(one, dialect).how != "refuse"


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("PRAGMA foreign_keys = ON", True),
        ("PRAGMA main.foreign_keys(1)", True),
        ("PRAGMA foreign_keys = 'yes'", True),
        ("PRAGMA foreign_keys=OFF; PRAGMA foreign_keys=ON", False),
        ("PRAGMA foreign_keys", None),
        ("PRAGMA defer_foreign_keys = ON", None),
    ],
)
def test_what_a_file_wants_of_foreign_keys_is_what_it_sets_first(text: str, wish: bool | None) -> None:
    assert foreign_keys_wish(statements(text, "sqlite")) is wish


_PIECES = st.sampled_from(
    ["a", " ", "\n", ";", "'", "''", '"', "$$", "$x$", "--", "/*", "*/", "\\", "e'", "(", ")", "[", "`", "1"]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_every_character_of_a_statement_comes_from_the_file_in_order(text: str) -> None:
    dialects: list[Dialect] = ["sqlite", "postgresql"]
    for dialect in dialects:
        position = 0
        for one in statements(text, dialect):
            position = text.index(one.text, position) + len(one.text)
            assert one.line <= text.count("\n") + 1
    assert isinstance(normal_form(text), tuple)


@given(st.lists(st.sampled_from(["SELECT", "a", "'x  y'", "$$ b; $$", "(", ")", "1.5"]), max_size=12))
def test_blanks_and_comments_between_tokens_never_change_the_normal_checksum(tokens: list[str]) -> None:
    plain = " ".join(tokens)
    spread = " -- note; 'here'\r\n\t".join(tokens) + " /* end */"

    assert checksum_of_text(plain, "sql") == checksum_of_text(spread, "sql")


# -- prisma and flyway ---------------------------------------------------------------------------


def _make_prisma_folder(root: Path, *names: str) -> Folder:
    for name in names:
        make_folder(root / name, {"migration.sql": f"CREATE TABLE {name.partition('_')[2]} (x INTEGER)"})
    return make_folder(root, {"migration_lock.toml": 'provider = "sqlite"'})


def test_prismas_files_are_called_by_their_folders_and_come_in_the_order_of_their_names(
    tmp_path: Path,
) -> None:
    folder = _make_prisma_folder(tmp_path, "20240202000000_later", "20240101000000_first")
    (tmp_path / "notes").mkdir()

    assert folder.layout == "prisma"
    assert [(file.number, file.name, file.label) for file in folder.files()] == [
        (20240101000000, "20240101000000_first", "20240101000000_first/migration.sql"),
        (20240202000000, "20240202000000_later", "20240202000000_later/migration.sql"),
    ]
    assert folder.script().index("TABLE first") < folder.script().index("TABLE later")


def test_flyways_files_come_in_the_order_of_their_versions_part_by_part(tmp_path: Path) -> None:
    names = [
        "V10__d.sql",
        "V1.10__c.sql",
        "V1_2__b.sql",
        "V1__a.sql",
        "U1__undo.sql",
        "R__view.sql",
        "V2.sql",
    ]
    folder = make_folder(tmp_path, dict.fromkeys(names, "SELECT 1"))

    assert folder.layout == "flyway"
    assert [(file.number, file.name) for file in folder.files()] == [
        (1, "V1__a"),
        (None, "V1_2__b"),
        (None, "V1.10__c"),
        (10, "V10__d"),
    ]
    told = [(one.kind, one.name) for one in folder.problems()]
    assert told == [("repeatable", "R__view.sql"), ("no number", "V2.sql")]


def test_numbered_files_decide_whatever_stands_beside_them(tmp_path: Path) -> None:
    _make_prisma_folder(tmp_path, "20240101000000_first")
    beside = ["V1__a.sql", "0001_mine.down.sql", "seed_rows.sql", "README.md"]
    folder = make_folder(tmp_path, dict.fromkeys([*beside, "0001_mine.sql"], ""))

    assert (folder.layout, _names(folder)) == ("numbered", ["0001_mine"])
    # what looks like a migration and is never applied is told
    assert [(one.kind, one.name) for one in folder.problems()] == [("no number", "V1__a.sql")]


@pytest.mark.parametrize("layout", ["prisma", "flyway"])
def test_a_new_file_is_left_to_the_tool_whose_folder_it_is(tmp_path: Path, layout: str) -> None:
    if layout == "prisma":
        _make_prisma_folder(tmp_path, "20240101000000_first")
    else:
        make_folder(tmp_path, {"V1__a.sql": ""})

    with pytest.raises(MigrationRefused, match=f"is a {layout} folder"):
        new_file(tmp_path, "add_notes", is_python=False, now=datetime(2026, 1, 2, tzinfo=UTC))


def test_files_that_are_made_at_once_have_a_number_each(tmp_path: Path) -> None:
    at_once = Barrier(8)

    def make(number: int) -> str:
        at_once.wait()
        return new_file(tmp_path, f"step{number}", is_python=False, now=datetime.now(UTC)).name[:4]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))

    assert sorted(made) == [f"{number:04}" for number in range(1, 9)]
