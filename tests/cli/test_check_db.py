"""`check-db` as people and programs meet it: exit codes, JSON, an app's rules, no trace."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from support.commands import Run

KEYS = {"id", "severity", "table", "object", "count", "message", "repair"}


def test_a_sound_database_is_clean_in_both_depths(run: Run, migrated: Path) -> None:
    for words in ([], ["--quick"]):
        answer = run("check-db", *words, "--json", "--database", migrated)

        assert (answer.code, answer.json["ok"], answer.json["findings"]) == (0, True, [])


def test_findings_have_the_promised_keys_and_the_next_command(run: Run, migrated: Path) -> None:
    with closing(sqlite3.connect(migrated, isolation_level=None)) as connection:
        connection.execute("INSERT INTO included_files (session_id, path) VALUES ('gone', 'a')")

    answer = run("check-db", "--json", "--database", migrated)

    [finding] = answer.json["findings"]
    assert answer.code == 1
    assert finding.keys() >= KEYS
    assert (finding["id"], finding["count"], finding["repair"]) == ("DL-C010", 1, "lossy")
    assert finding["rows"] == [{"id": 1, "session_id": "gone"}]
    assert answer.json["next"] == f"datalayer repair --dry-run --database {migrated}"


def test_infos_alone_are_no_failure(run: Run, migrated: Path) -> None:
    with closing(sqlite3.connect(migrated, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE own (a)")

    answer = run("check-db", "--json", "--database", migrated)

    assert (answer.code, answer.json["counts"]["info"]) == (0, 1)


def test_what_cannot_be_looked_at_is_an_error_with_its_finding(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.db"
    secret.write_bytes(random.Random(7).randbytes(16384))
    letter = tmp_path / "letter.txt"
    letter.write_text("no database " * 100)

    told = {
        name: run("check-db", "--json", "--database", path)
        for name, path in {
            "missing": tmp_path / "gone.db",
            "folder": tmp_path,
            "secret": secret,
            "letter": letter,
        }.items()
    }

    assert {name: answer.code for name, answer in told.items()} == {
        "missing": 3,
        "folder": 3,
        "secret": 4,
        "letter": 4,
    }
    assert {name: answer.json["findings"][0]["id"] for name, answer in told.items()} == {
        "missing": "DL-C070",
        "folder": "DL-C074",
        "secret": "DL-C073",
        "letter": "DL-C072",
    }


def test_a_database_whose_schema_cannot_be_read_is_too_damaged(run: Run, migrated: Path) -> None:
    with migrated.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 300)

    answer = run("check-db", "--json", "--database", migrated)

    assert answer.code == 4
    assert "DL-C013" in {finding["id"] for finding in answer.json["findings"]}


def test_an_apps_own_rules_are_held(run: Run, tmp_path: Path) -> None:
    path, rules = tmp_path / "shop.db", tmp_path / "rules.json"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total)")
        connection.execute("INSERT INTO orders VALUES (1, -1), (2, 2)")
    debt = {"sql": "SELECT id FROM orders WHERE total < 0"}
    rules.write_text(json.dumps({"debt": debt, "worse": {"sql": "DROP TABLE orders"}}))

    answer = run("check-db", "--no-schema", "--rules", rules, "--json", "--database", path)

    assert answer.code == 1
    assert [(one["id"], one["object"], one["count"]) for one in answer.json["findings"]] == [
        ("debt", None, 1),
        ("DL-C012", "worse", 1),
    ]


def test_rules_that_cannot_be_read_are_a_mistake_of_usage(run: Run, migrated: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text("[]")

    answer = run("check-db", "--rules", rules, "--database", migrated)

    assert (answer.code, answer.err.startswith("error DL-E601: ")) == (2, True)


def test_checking_leaves_folder_and_bytes_as_they_were(run_process: Run, migrated: Path) -> None:
    before = digests(migrated.parent)

    assert run_process("check-db", "--database", migrated).code == 0

    assert digests(migrated.parent) == before


def digests(folder: Path) -> dict[str, str]:
    files = (file for file in folder.iterdir() if file.is_file())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
