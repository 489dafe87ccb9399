"""backup, backups, restore and reset-db as a user runs them."""

from __future__ import annotations

import json
import shlex
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Answer, Run
from support.processes import worker

from datalayer.schema.history import package_files


@pytest.fixture
def of(run: Run, migrated: Path) -> Callable[..., Answer]:
    """Run a command on the migrated database."""
    return lambda *words: run(*words, "--database", migrated)


def keys(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [str(row[0]) for row in connection.execute("SELECT key FROM key_value_store ORDER BY key")]


def test_a_backup_goes_and_comes_back(of: Callable[..., Answer], migrated: Path) -> None:
    of("kv", "set", "a", "1")
    made = of("backup", "--compress", "--throttle", "50", "--json").json
    of("kv", "set", "b", "2")

    done = of("restore", made["path"], "--yes", "--json").json

    assert made["compressed"]
    assert made["schema_version"] == package_files()[-1].name
    assert Path(made["manifest"]).exists()
    assert done["ok"]
    assert keys(migrated) == ["a"]
    assert keys(Path(done["replaced"])) == ["a", "b"]
    again = of("restore", done["replaced"], "--yes")
    assert again.code == 0
    assert "to take it back: datalayer restore" in again.out
    assert keys(migrated) == ["a", "b"]


@pytest.mark.parametrize("words", [("restore", "PATH"), ("reset-db",)])
def test_what_destroys_needs_a_word(
    of: Callable[..., Answer], migrated: Path, words: tuple[str, ...]
) -> None:
    of("kv", "set", "a", "1")
    path = of("backup", "--json").json["path"]

    answer = of(*(path if word == "PATH" else word for word in words), "--json")

    assert answer.code == 2
    assert answer.error["code"] == "DL-E602"
    assert answer.json["next"] == "say so with --yes"
    assert keys(migrated) == ["a"]


def test_a_database_that_is_not_there_is_restored_without_a_word(run: Run, migrated: Path) -> None:
    path = run("backup", "--json", "--database", migrated).json["path"]
    target = migrated.with_name("other.db")

    answer = run("restore", path, "--database", target, "--json")

    assert (answer.code, answer.json["replaced"]) == (0, None)
    assert keys(target) == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_backup_that_does_not_verify_is_refused_as_damaged(
    of: Callable[..., Answer], migrated: Path
) -> None:
    of("kv", "set", "a", "1")
    path = Path(of("backup", "--json").json["path"])
    path.write_bytes(path.read_bytes()[:-10] + b"0123456789")

    answer = of("restore", path, "--yes", "--json")

    assert answer.code == 4
    assert "does not verify" in answer.error["what"]
    assert keys(migrated) == ["a"]
    listed = of("backups", "--verify", "--json")
    assert listed.code == 1
    assert [one["verified"] for one in listed.json["backups"]] == [False]
    assert [one["id"] for one in listed.json["findings"]] == ["DL-B001"]


@pytest.mark.parametrize("words", [("restore", "PATH"), ("reset-db",)])
def test_who_writes_is_named(of: Callable[..., Answer], migrated: Path, words: tuple[str, ...]) -> None:
    of("kv", "set", "a", "1")
    path = of("backup", "--json").json["path"]

    with worker("support.killed_restore", "hold_write_lock", str(migrated)) as writer:
        pid = writer.line()
        answer = of(
            *(path if word == "PATH" else word for word in words), "--yes", "--lock-timeout", "0.1", "--json"
        )

    assert answer.code == 3
    assert f"process {pid}" in answer.error["why"]
    assert keys(migrated) == ["a"]


def test_a_missing_backup_and_a_file_of_another_kind(of: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    assert of("restore", tmp_path / "nowhere.db", "--yes").code == 3
    assert of("restore", tmp_path / "text", "--yes").code == 4


def test_reset_empties_and_tells_how_to_go_back(of: Callable[..., Answer], migrated: Path) -> None:
    of("kv", "set", "a", "1")

    done = of("reset-db", "--yes", "--json")

    assert done.code == 0
    assert keys(migrated) == []
    back = shlex.split(done.json["next"])
    assert back[:2] == ["datalayer", "restore"]
    assert back[2] == done.json["backup"]
    of("restore", back[2], "--yes")
    assert keys(migrated) == ["a"]


def test_reset_takes_another_schema_and_the_tables_of_others(
    of: Callable[..., Answer], migrated: Path, tmp_path: Path
) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE note (id INTEGER PRIMARY KEY);")

    assert of("reset-db", "--schema", schema, "--dir", tmp_path, "--yes").code == 2
    some = of("reset-db", "--schema", schema, "--yes", "--json").json
    assert "key_value_store" in some["kept"]
    rest = of("reset-db", "--schema", schema, "--all", "--yes", "--json").json

    assert "key_value_store" in rest["dropped"]
    with closing(sqlite3.connect(migrated)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("note",)]


def test_a_reset_of_a_database_that_is_not_there_makes_none(run: Run, tmp_path: Path) -> None:
    answer = run("reset-db", "--yes", "--database", tmp_path / "nowhere.db")

    assert answer.code == 3
    assert not (tmp_path / "nowhere.db").exists()


# -- the list and what stays -------------------------------------------------------------------


def test_backups_are_listed_with_the_folder(of: Callable[..., Answer], migrated: Path) -> None:
    empty = of("backups")
    assert "no backups of" in empty.out
    assert "next: datalayer backup" in empty.out
    of("kv", "set", "a", "1")
    made = of("backup", "--json").json

    listed = of("backups")

    assert Path(made["path"]).name[:50] in listed.out
    assert str(migrated.parent / "backups") in listed.out
    [entry] = of("backups", "--verify", "--json").json["backups"]
    assert entry["verified"] is True
    assert entry["rows"] == sum(made["rows"].values())
    assert entry["schema_version"] == package_files()[-1].name


def test_the_list_does_not_need_the_database(run: Run, migrated: Path) -> None:
    run("backup", "--database", migrated)
    migrated.write_bytes(b"no database")

    assert len(run("backups", "--json", "--database", migrated).json["backups"]) == 1
    migrated.unlink()
    assert len(run("backups", "--json", "--database", migrated).json["backups"]) == 1


def test_prune_says_what_would_go_and_then_removes_it(of: Callable[..., Answer]) -> None:
    made = [of("backup", "--json").json["path"] for _ in range(3)]

    trial = of("backups", "prune", "--keep", "1", "--dry-run", "--json").json
    assert trial["to_remove"] == [made[1], made[0]]
    assert trial["removed"] == []
    assert "would remove 2 backups" in of("backups", "prune", "--keep", "1", "--dry-run").out
    done = of("backups", "prune", "--keep", "1", "--json").json

    assert done["removed"] == [made[1], made[0]]
    assert [one["path"] for one in of("backups", "--json").json["backups"]] == [made[2]]
    assert of("backups", "prune").code == 2
    assert of("backups", "prune", "--keep", "0").code == 2


def test_a_backup_removes_older_ones_by_its_own_rule(of: Callable[..., Answer]) -> None:
    first = of("backup", "--json").json["path"]

    second = of("backup", "--keep", "1", "--json").json

    assert second["removed"] == [first]
    assert [one["path"] for one in of("backups", "--json").json["backups"]] == [second["path"]]


@pytest.mark.parametrize("words", [("--throttle", "0"), ("--throttle", "fast"), ("--keep", "-1")])
def test_a_number_that_makes_no_sense_is_a_mistake_of_usage(
    of: Callable[..., Answer], words: tuple[str, ...]
) -> None:
    assert of("backup", *words).code == 2


# -- a server ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_has_its_backups_in_the_data_folder_and_no_password_in_them(
    run: Run, migrated_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    url = migrated_postgres.replace("postgres@", "postgres:sesame-4711@")
    run("kv", "set", "a", "1", "--database", url)

    made = run("backup", "--json", "--database", url)
    run("kv", "set", "b", "2", "--database", url)
    done = run("restore", made.json["path"], "--yes", "--json", "--database", url)
    empty = run("reset-db", "--yes", "--json", "--database", url)
    listed = run("backups", "--json", "--database", url)

    home = tmp_path / "home" / "data" / "datalayer" / "backups"
    assert Path(made.json["path"]).parent == home
    assert len(listed.json["backups"]) == 3
    assert run("kv", "list", "--json", "--database", url).code in (0, 1)
    for answer in (made, done, empty, listed):
        assert answer.code == 0, answer
        assert "sesame" not in answer.out + answer.err
    assert all("sesame" not in one.read_text(errors="replace") for one in home.glob("*.json"))
    assert json.loads(next(home.glob("*.json")).read_text())["kind"] == "archive"
