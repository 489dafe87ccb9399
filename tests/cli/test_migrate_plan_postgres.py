"""`migrate --plan` of a PostgreSQL database that has tables: told, and nothing changed."""

from __future__ import annotations

from pathlib import Path

from support.commands import Run

BEFORE = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT);"
AFTER = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER);"


def test_plan_of_an_existing_database_is_told_and_changes_nothing(
    run: Run, postgres_database: str, tmp_path: Path
) -> None:
    schema = tmp_path / "wanted.sql"
    schema.write_text(BEFORE)
    made = run("migrate", "--schema", schema, "--database", postgres_database)
    schema.write_text(AFTER)

    planned = run("migrate", "--schema", schema, "--database", postgres_database, "--plan", "--json")
    again = run("migrate", "--schema", schema, "--database", postgres_database, "--plan", "--json")

    assert made.code == 0
    assert planned.code == again.code == 1
    assert {step["name"] for step in planned.json["steps"]} == {"item"}
    assert planned.json["steps"] == again.json["steps"]
