"""`report` writes one page: it stands alone, tells no secret and no row, and replaces nothing else."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.commands import Run
from support.odd_names import ODD_NAMES, make_odd_database
from support.web_pages import Page, read_page

from datalayer.store import connect

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

SECTIONS = ["health", "migrations", "tables", "backups", "repair", "jobs", "settings", "diagram"]
NO_JINJA = "import sys; sys.modules['jinja2'] = None"


@pytest.fixture
def odd_database(tmp_path: Path) -> Path:
    path = tmp_path / "odd.db"
    make_odd_database(path)
    return path


def written(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    page = read_page(text)
    assert text.lower().startswith("<!doctype html>")
    assert page.mistakes == []
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    return page


def break_reference(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO included_files (session_id, path) VALUES ('secret-session', 'secret-path')"
        )
    connection.close()


def test_page_has_every_section_on_either_engine(run: Run, database: str, tmp_path: Path) -> None:
    with connect(database) as store:
        store.jobs.enqueue("greet", "Ada")
    page = tmp_path / "page.html"

    answer = run("report", "--html", page, "--database", database)

    assert (answer.code, answer.err) == (0, "")
    assert "no problems found" in answer.out
    assert str(page) in answer.out
    found = written(page)
    assert [one for one in found.ids if one in SECTIONS] == SECTIONS
    for text in ("background_jobs", "0001_foundation", "no problems found", "queued", "version"):
        assert text in found.text
    assert "svg" in found.elements


def test_page_is_readable_in_the_dark_and_on_paper(run: Run, migrated: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("report", "--html", page, "--database", migrated)

    styles = written(page).styles
    assert "prefers-color-scheme:dark" in styles
    assert "@media print" in styles


def test_names_on_the_page_are_escaped(run: Run, odd_database: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    answer = run("report", "--html", page, "--database", odd_database, "--no-schema")

    assert answer.code == 0
    text = page.read_text(encoding="utf-8")
    found = written(page)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for name in (
        "<script>alert(1)</script>",
        "quote \" and ' and ` and \\",
        "ümläut 表 😀",
        "]]> --> </svg>",
    ):
        assert name in found.text
    assert "turned \\u202e round" in found.text
    assert "\u202e" not in text


def test_names_of_a_server_are_escaped_and_drawn(run: Run, postgres_database: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with connect(postgres_database) as store, store.transaction():
        for name in ODD_NAMES:
            quoted = store.engine.dialect.quote(name[:60])
            store.engine.connection().execute(
                f"CREATE TABLE {quoted} (id integer PRIMARY KEY, {quoted} text)"
            )

    answer = run("report", "--html", page, "--database", postgres_database, "--no-schema")
    drawn = run("er", "--format", "svg", "--database", postgres_database)

    assert (answer.code, answer.err, drawn.code) == (0, "", 0)
    found = written(page)
    for name in ("<script>alert(1)</script>", "&amp; #35; %% {brace} [bracket]", "]]> --> </svg>"):
        assert name in found.text
    ElementTree.fromstring(drawn.out)


def test_no_value_of_a_row_is_told(run: Run, odd_database: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    answer = run("report", "--html", page, "--database", odd_database, "--no-schema", "--json")

    assert "nobody may see" not in page.read_text(encoding="utf-8") + answer.out


def test_findings_are_told_without_the_keys_of_rows(run: Run, migrated: Path, tmp_path: Path) -> None:
    break_reference(migrated)
    page = tmp_path / "page.html"

    answer = run("report", "--html", page, "--database", migrated, "--json")

    assert answer.code == 1
    assert "DL-C010" in [one["id"] for one in answer.json["findings"]]
    assert answer.json["next"].startswith("datalayer repair")
    found = written(page)
    assert "DL-C010" in found.text
    assert "1 error" in found.text
    assert "secret" not in page.read_text(encoding="utf-8") + answer.out


def test_password_and_user_of_a_server_are_not_told(run: Run, postgres_database: str, tmp_path: Path) -> None:
    scheme, _, rest = postgres_database.partition("://")
    user = rest.partition("@")[0].partition(":")[0]
    url = f"{scheme}://{user}:hunter2hunter2@{rest.partition('@')[2]}"
    page = tmp_path / "page.html"

    answer = run("report", "--html", page, "--database", url, "--no-schema", "--json")

    assert answer.code == 0
    assert "hunter2" not in page.read_text(encoding="utf-8") + answer.out
    assert f"{user}@" not in page.read_text(encoding="utf-8")


def test_pending_migrations_are_told(run: Run, migrated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_pets.sql").write_text("CREATE TABLE pets (id INTEGER PRIMARY KEY);\n")
    database = tmp_path / "pets.db"
    run("migrate", "--dir", folder, "--database", database)
    (folder / "0002_owner.sql").write_text("ALTER TABLE pets ADD COLUMN owner TEXT;\n")
    page = tmp_path / "page.html"

    answer = run("report", "--html", page, "--dir", folder, "--database", database)

    assert answer.code == 1
    found = written(page)
    assert "0001_pets applied" in found.text
    assert "0002_owner pending" in found.text


def test_backups_and_the_last_repair_are_told(run: Run, migrated: Path, tmp_path: Path) -> None:
    run("backup", "--database", migrated)
    break_reference(migrated)
    assert run("repair", "--yes", "--database", migrated).code in (0, 1)
    page = tmp_path / "page.html"

    answer = run("report", "--html", page, "--database", migrated, "--json")

    report = answer.json["report"]
    assert len(report["backups"]) == 1
    assert report["repair"]["folders"] == 1
    assert report["repair"]["size_bytes"] > 0
    found = written(page)
    assert "when it was written" in found.text
    assert "original bytes: migrated.db-before-repair-" in found.text


def test_what_a_repair_says_of_itself_is_told_without_reasons(
    run: Run, migrated: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "migrated.db-before-repair-20260102T030405000006Z"
    folder.mkdir()
    step = {"action": "move", "table": "<b>", "object": None, "count": 3, "reason": "secret"}
    told = {
        "way": "in-place",
        "steps": [step, 5],
        "tables": {"<b>": {"kept": 7, "moved": 3, "made": 4}, "x": 1},
    }
    (folder / "report.json").write_text(json.dumps(told))
    page = tmp_path / "page.html"

    run("report", "--html", page, "--database", migrated)

    found = written(page)
    for text in ("2026-01-02 03:04:05 UTC", "in-place", "move <b> 3", "<b> 7 0 3 0 4"):
        assert text in found.text
    assert "secret" not in found.text


def test_broken_report_of_a_repair_is_passed_over(run: Run, migrated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "migrated.db-before-repair-some-day"
    folder.mkdir()
    (folder / "report.json").write_text("[1, 2")

    report = run("report", "--database", migrated, "--json").json["report"]

    assert (report["repair"]["kept_at"], report["repair"]["steps"]) == (None, [])


def test_damaged_database_still_has_a_page(run: Run, migrated: Path, tmp_path: Path) -> None:
    run("backup", "--database", migrated)
    with migrated.open("r+b") as file:
        file.write(b"no database" * 10)
    before = migrated.read_bytes()
    page = tmp_path / "page.html"

    answer = run("report", "--html", page, "--database", migrated, "--json")

    assert answer.code == 4
    assert next(one["severity"] for one in answer.json["findings"]) == "error"
    found = written(page)
    assert "not everything could be read" in found.text
    assert "when it was written" in found.text
    assert migrated.read_bytes() == before


def test_report_writes_nothing_to_the_database(run: Run, migrated: Path, tmp_path: Path) -> None:
    before = migrated.read_bytes()
    run("report", "--html", tmp_path / "page.html", "--database", migrated)

    assert migrated.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "migrated.db", "page.html"]


def test_report_is_made_while_the_app_writes(run: Run, migrated: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with connect(migrated) as store:
        store.kv.set("theme", "dark")
        with store.transaction():
            store.kv.set("theme", "light")
            answer = run("report", "--html", page, "--database", migrated, "--json")

    assert answer.code == 0
    figures = answer.json["report"]["figures"]
    assert figures["settings"]["journal_mode"] == "wal"
    assert figures["wal_bytes"] > 0
    assert {one["name"]: one["rows"] for one in figures["tables"]}["key_value_store"] == 1


def test_earlier_page_is_replaced_and_keeps_its_mode(run: Run, migrated: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("report", "--html", page, "--database", migrated)
    page.chmod(0o600)
    page.write_text("<!DOCTYPE html>old")

    assert run("report", "--html", page, "--database", migrated).code == 0
    written(page)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_nothing_but_a_page_is_replaced(run: Run, migrated: Path, tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    link = tmp_path / "link.html"
    link.symlink_to(migrated)
    before = migrated.read_bytes()

    for target in (other, link, migrated, f"{migrated}-wal", tmp_path):
        answer = run("report", "--html", target, "--database", migrated)
        assert answer.code == 2, target
        assert len(answer.err.splitlines()) <= 3
    assert other.read_text() == "mine"
    assert migrated.read_bytes() == before
    assert not Path(f"{migrated}-wal").exists()


def test_page_that_cannot_be_written_is_an_error(run: Run, migrated: Path, tmp_path: Path) -> None:
    answer = run("report", "--html", tmp_path / "none" / "page.html", "--database", migrated)

    assert answer.code == 3
    assert "cannot write" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--html", "page.html", "--schema", "a.sql", "--no-schema"],
        ["--html", "page.html", "--dir", "a", "--no-schema"],
    ],
)
def test_mistakes_of_usage_are_told(run: Run, migrated: Path, words: list[str]) -> None:
    assert run("report", *words, "--database", migrated).code == 2


def test_missing_database_is_an_error_and_leaves_no_page(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    assert run("report", "--html", page, "--database", tmp_path / "none.db").code == 3
    assert not page.exists()


def test_facts_are_told_as_json_without_a_page(run: Run, database: str) -> None:
    told = run("report", "--database", database, "--json").json

    assert (told["ok"], told["well"], told["findings"]) == (True, True, [])
    assert {one["name"] for one in told["report"]["figures"]["tables"]} > {"sessions", "background_jobs"}
    assert told["report"]["migrations"][0]["state"] == "applied"
    assert "path" not in told


def test_schema_of_an_app_is_expected_where_it_is_named(run: Run, tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT);\n")
    database = tmp_path / "pets.db"
    run("migrate", "--schema", schema, "--database", database)

    assert run("report", "--schema", schema, "--database", database, "--json").code == 0
    schema.write_text("CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);\n")
    changed = run("report", "--schema", schema, "--database", database, "--json")
    assert changed.code == 1
    assert changed.json["findings"][0]["run"] == f"datalayer migrate --schema {schema}"
    assert changed.json["next"] == f"datalayer migrate --schema {schema} --database {database}"


def test_without_jinja_the_page_says_what_to_install(
    run_process: Run, migrated: Path, tmp_path: Path
) -> None:
    words = ("report", "--database", migrated)
    page = tmp_path / "page.html"
    answer = run_process(*words, "--html", page, before=NO_JINJA)
    facts = run_process(*words, "--json", before=NO_JINJA)

    assert answer.code == 5
    assert "pip install 'datalayer[web]'" in answer.err
    assert not page.exists()
    assert facts.code == 0


def test_package_does_not_load_pages(run_process: Run) -> None:
    before = "import sys, datalayer\nassert not [n for n in sys.modules if n.startswith('datalayer.web')]"

    assert run_process("--version", before=before).code == 0
