"""What each command answers, on both engines, for people and as JSON."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from support.commands import Run

from datalayer import KeyRing, connect
from datalayer.cli.main import COMMANDS
from datalayer.domains.sessions import Session
from datalayer.engine.keys import KeySource
from datalayer.schema.history import package_files, package_folder

# held against the package's own files
SLOW = dict.fromkeys(("migrations validate", "migrations verify"), pytest.mark.slow)
COMMON = {"ok", "command", "database", "findings", "next"}


@dataclass(frozen=True, slots=True)
class Filled:
    """A database with a session, three jobs and two keys."""

    target: str
    session: str
    done: str
    failed: str
    queued: str


@pytest.fixture
def filled(database: str) -> Iterator[Filled]:
    with connect(database) as store:
        saved = store.sessions.save(Session(name="Löwe", project_directory="/app"), ["a.py"], ["b.bin"])
        key = saved.session.id
        store.sessions.set_active("/app", key)
        done, failed, queued = (
            store.jobs.enqueue("count", f"work {number}", session_id=key, priority=-number, max_attempts=1)
            for number in range(3)
        )
        store.jobs.complete(store.jobs.claim() or done, {"lines": 3})
        store.jobs.fail(store.jobs.claim() or failed, "no such file")
        store.kv.set("colour", "blue")
        store.kv.set("size", {"w": 3})
    yield Filled(database, key, done.id, failed.id, queued.id)


def own_words(name: str, filled: Filled, folder: Path) -> list[str]:
    """Give the arguments that a command needs besides the common ones."""
    if name == "migrations squash":
        # of the package's own files, which take seconds, there are tests elsewhere
        steps = folder / "steps"
        steps.mkdir()
        (steps / "0001_foundation.sql").write_text(package_folder().of_domains([]).script())
        return ["--dir", str(steps)]
    if name == "restore":
        with connect(filled.target) as store:
            store.backup(folder / "made.backup")
    return {
        "backup": [str(folder / "copy.backup")],
        "backups prune": ["--keep", "3"],
        "restore": [str(folder / "made.backup"), "--yes"],
        "reset-db": ["--yes"],
        "report": ["--html", str(folder / "page.html")],
        "migrations new": ["notes", "--dir", str(folder)],
        "sessions show": [filled.session],
        "jobs show": [filled.done],
        "jobs retry": [filled.failed],
        "jobs cancel": [filled.queued],
        "jobs prune": ["--dry-run"],
        "jobs work": ["--app", "demo_worker:handlers", "--until-idle"],
        "kv get": ["colour"],
        "kv set": ["shape", '"round"'],
        "kv delete": ["size"],
        "keys new": ["--print"],
        "demo": ["--project", str(folder / "project"), "--workers", "1"],
    }.get(name, [])


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app's worker, a small project and keys, as the working directory."""
    folder = tmp_path / "app"
    (folder / "project").mkdir(parents=True)
    (folder / "project" / "a.txt").write_text("one two two\n")
    (folder / "demo_worker.py").write_text("handlers = {'count': lambda context: len(context.job.prompt)}\n")
    monkeypatch.chdir(folder)
    KeySource.file(folder / "keys").write(KeyRing({"a": bytes(32)}))
    monkeypatch.setenv("DATALAYER_KEYS_FILE", str(folder / "keys"))
    return folder


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in COMMANDS])
def test_command_answers_in_one_shape(run: Run, filled: Filled, app: Path, name: str) -> None:
    answer = run(*name.split(), *own_words(name, filled, app), "--json", "--database", filled.target)

    told = answer.json
    assert answer.code == 0, answer
    assert told.keys() > COMMON
    assert (told["ok"], told["command"], told["findings"]) == (True, name, [])
    # where there is no backup yet, to make one; where one was just made, how to take it back
    leads_on = {"backups", "reset-db", "restore"}
    assert told["next"] is None or name in leads_on


# what those tell people of smaller folders is held where their own tests are
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in SLOW])
def test_command_answers_people(run: Run, filled: Filled, app: Path, name: str) -> None:
    answer = run(*name.split(), *own_words(name, filled, app), "--database", filled.target)

    assert answer.code == 0, answer
    assert answer.out.strip()
    assert "\x1b" not in answer.out


# -- sessions --------------------------------------------------------------------------------------


def test_sessions_are_listed_and_shown(run: Run, filled: Filled) -> None:
    listed = run("sessions", "list", "--json", "--database", filled.target).json["sessions"]
    shown = run("sessions", "show", filled.session, "--json", "--database", filled.target).json["session"]

    assert [(one["id"], one["name"], one["is_active"]) for one in listed] == [(filled.session, "Löwe", True)]
    assert (shown["included_files"], shown["excluded_files"], shown["jobs"]) == (["a.py"], ["b.bin"], 3)
    assert datetime.fromisoformat(shown["created_at"]).tzinfo is not None


def test_sessions_are_paged_by_the_next_command(run: Run, filled: Filled) -> None:
    with connect(filled.target) as store:
        store.sessions.save(Session(name="Second", project_directory="/app"))
    names: list[str] = []

    words = ["datalayer", "sessions", "list", "--limit", "1"]
    while words:
        told = run(*words[1:], "--json", "--limit", "1", "--database", filled.target).json
        names += [session["name"] for session in told["sessions"]]
        words = told["next"].split() if told["next"] else []

    assert names == ["Second", "Löwe"]


def test_sessions_are_found_by_project_and_name(run: Run, filled: Filled) -> None:
    def count(*words: str) -> int:
        return len(run("sessions", "list", *words, "--json", "--database", filled.target).json["sessions"])

    assert [count("--project", "/app/"), count("--project", "/other")] == [1, 0]
    assert [count("--search", "wE"), count("--search", "tiger")] == [1, 0]


# -- jobs ------------------------------------------------------------------------------------------


def test_jobs_are_listed_with_counts(run: Run, filled: Filled) -> None:
    told = run("jobs", "list", "--json", "--database", filled.target).json
    failed = run("jobs", "list", "--status", "failed", "--json", "--database", filled.target).json

    assert {job["id"] for job in told["jobs"]} == {filled.done, filled.failed, filled.queued}
    assert told["jobs"][0]["status"] == "queued"
    assert told["counts"] == {"queued": 1, "completed": 1, "failed": 1}
    assert [(job["id"], job["error_message"]) for job in failed["jobs"]] == [(filled.failed, "no such file")]


def test_jobs_are_paged_by_the_next_command(run: Run, filled: Filled) -> None:
    first = run("jobs", "list", "--type", "count", "--limit", "2", "--json", "--database", filled.target).json
    rest = run(*first["next"].split()[1:], "--json", "--database", filled.target).json

    assert (len(first["jobs"]), len(rest["jobs"]), rest["next"]) == (2, 1, None)


def test_job_is_shown_with_its_response(run: Run, filled: Filled) -> None:
    job = run("jobs", "show", filled.done, "--json", "--database", filled.target).json["job"]

    assert (job["prompt"], job["status"], json.loads(job["response"])) == (
        "work 0",
        "completed",
        {"lines": 3},
    )


def test_job_whose_response_file_is_gone_is_shown_with_a_finding(run: Run, migrated: Path) -> None:
    with connect(migrated) as store:
        job = store.jobs.enqueue("count", "x")
        store.jobs.complete(store.jobs.claim() or job, "long " * 100_000)
        stored = store.jobs.get(job.id).output_file_path
        assert stored is not None
        (store.data_dir / stored).unlink()

    answer = run("jobs", "show", job.id, "--json", "--database", migrated)
    checked = run("check-db", "--json", "--database", migrated)

    assert (answer.code, answer.json["job"]["response"]) == (1, None)
    assert [finding["severity"] for finding in answer.json["findings"]] == ["error"]
    assert checked.code == 1
    assert [finding["id"] for finding in checked.json["findings"]] == ["DL-C061"]


def test_failed_job_is_queued_again_as_a_new_one(run: Run, filled: Filled) -> None:
    told = run("jobs", "retry", filled.failed, "--json", "--database", filled.target).json
    refused = run("jobs", "retry", filled.done, "--json", "--database", filled.target)

    assert (told["retry_of"], told["job"]["status"]) == (filled.failed, "queued")
    assert (refused.code, refused.error["code"]) == (5, "DL-E204")


def test_canceling_a_whole_session_needs_a_word(run: Run, filled: Filled) -> None:
    words = ["jobs", "cancel", "--session", filled.session, "--json", "--database", filled.target]

    refused, done = run(*words), run(*words, "--yes")

    assert (refused.code, refused.error["code"]) == (2, "DL-E602")
    assert done.json["canceled"] == 1
    assert run("jobs", "cancel", filled.queued, "--database", filled.target).code == 5
    assert run("jobs", "cancel", "--database", filled.target).code == 2


def test_pruning_needs_a_word_and_takes_a_backup_first(run: Run, filled: Filled, tmp_path: Path) -> None:
    words = ["jobs", "prune", "--older-than", "0", "--json", "--database", filled.target]
    copy = tmp_path / "before.backup"

    refused = run(*words)
    done = run(*words, "--yes", "--backup", copy)

    assert (refused.code, refused.error["code"]) == (2, "DL-E602")
    assert (done.json["pruned"], done.json["backup"]) == (2, str(copy))
    assert copy.stat().st_size > 0
    assert run(*words).json["prunable"] == 0


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["3", "-1.5", '"text"', "null", '{"a": [1, true]}'])
def test_value_is_stored_as_json(run: Run, database: str, value: str) -> None:
    assert run("kv", "set", "key", value, "--database", database).code == 0

    assert json.loads(run("kv", "get", "key", "--database", database).out) == json.loads(value)


def test_value_is_stored_as_text_where_that_is_said(run: Run, database: str) -> None:
    refused = run("kv", "set", "key", "not json", "--database", database)
    run("kv", "set", "key", "not json", "--text", "--database", database)

    assert (refused.code, refused.err.splitlines()[0]) == (2, "error DL-E601: the value is no JSON")
    assert run("kv", "get", "key", "--database", database).out == '"not json"\n'
    assert run("kv", "get", "key", "--text", "--database", database).out == "not json\n"


def test_deleting_tells_what_was_there(run: Run, filled: Filled) -> None:
    told = run("kv", "delete", "size", "--json", "--database", filled.target).json

    assert told["deleted"] == {"w": 3}
    assert run("kv", "delete", "size", "--database", filled.target).code == 1


def test_keys_are_listed_in_order_page_by_page(run: Run, database: str) -> None:
    with connect(database) as store:
        store.kv.set_many({"b 2": 2, "b 1": 1, "c": 3, "a": 0})

    first = run("kv", "list", "--limit", "3", "--json", "--database", database).json
    part = run("kv", "list", "b", "--json", "--database", database).json

    assert [entry["key"] for entry in first["entries"]] == ["a", "b 1", "b 2"]
    assert shlex.split(first["next"]) == ["datalayer", "kv", "list", "--after", "b 2", "--database", database]
    assert [entry["key"] for entry in part["entries"]] == ["b 1", "b 2"]


def test_keys_of_a_project_are_its_own(run: Run, database: str) -> None:
    run("kv", "set", "tab", "1", "--project", "/app", "--database", database)

    assert run("kv", "get", "tab", "--database", database).code == 1
    assert run("kv", "get", "tab", "--project", "/app/", "--database", database).out == "1\n"


def test_key_with_a_time_to_live_says_when_it_ends(run: Run, database: str) -> None:
    run("kv", "set", "tab", "1", "--ttl", "3600", "--database", database)

    (entry,) = run("kv", "list", "--json", "--database", database).json["entries"]

    assert datetime.fromisoformat(entry["expires_at"]) > datetime.fromisoformat(entry["updated_at"])


# -- schema and care -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_fresh_database_is_planned_made_and_left_alone(
    run: Run, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    target = tmp_path / "new.db" if kind == "sqlite" else request.getfixturevalue("postgres_database")

    planned = run("migrate", "--plan", "--json", "--database", target)
    assert not (tmp_path / "new.db").exists()
    made = run("migrate", "--json", "--database", target)
    again = run("migrate", "--json", "--database", target)
    checked = run("check-db", "--json", "--database", target)

    assert (planned.code, planned.json["next"]) == (
        1,
        f"datalayer migrate --database {shlex.quote(str(target))}",
    )
    assert {"table sessions", "table background_jobs"} <= {f["message"] for f in planned.json["findings"]}
    assert (made.code, made.json["applied"], made.json["nothing_to_do"]) == (
        0,
        [file.name for file in package_files()],
        False,
    )
    assert (again.code, again.json["nothing_to_do"]) == (0, True)
    assert (checked.code, checked.json["findings"]) == (0, [])


def test_schema_of_a_file_is_made_and_checked(run: Run, tmp_path: Path) -> None:
    schema, path = tmp_path / "schema.sql", tmp_path / "shop.db"
    schema.write_text("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL);")

    made = run("migrate", "--schema", schema, "--json", "--database", path)

    assert (made.code, made.json["created"]) == (0, ["table orders"])
    assert run("check-db", "--schema", schema, "--database", path).code == 0
    assert run("check-db", "--no-schema", "--database", path).code == 0
    assert run("check-db", "--database", path).code == 1


def test_refused_schema_leaves_no_file_behind(run: Run, tmp_path: Path) -> None:
    schema, path = tmp_path / "schema.sql", tmp_path / "shop.db"
    schema.write_text("CREATE TABLE orders (id INTEGER PRIMARY KEY,);")

    answer = run("migrate", "--schema", schema, "--database", path)

    assert (answer.code, answer.err.splitlines()[0][:15]) == (5, "error DL-E402: ")
    assert not path.exists()


def test_database_of_another_program_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (a)")
        conn.commit()

    answer = run("migrate", "--database", path)

    assert answer.code == 5
    assert len(answer.err.splitlines()) <= 3
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_empty_database_is_a_finding_with_the_command_to_run(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("VACUUM")

    answer = run("check-db", "--json", "--database", path)

    assert (answer.code, answer.json["next"]) == (1, f"datalayer migrate --database {path}")
    assert [finding["id"] for finding in answer.json["findings"]] == ["DL-C024"]


def test_drift_is_a_finding(run: Run, migrated: Path) -> None:
    with closing(sqlite3.connect(migrated)) as conn:
        conn.execute("DROP INDEX sessions_name")
        conn.commit()

    answer = run("check-db", "--database", migrated)

    assert answer.code == 1
    assert "sessions_name" in answer.out
    assert "1 error" in answer.out


def test_backup_is_a_database_of_its_own(run: Run, filled: Filled, tmp_path: Path) -> None:
    path = tmp_path / "copy.backup"

    told = run("backup", path, "--json", "--database", filled.target).json
    again = run("backup", path, "--database", filled.target)

    assert (told["path"], told["rows"]["background_jobs"]) == (str(path), 3)
    assert len(told["sha256"]) == 64
    assert again.code == 3


def test_stats_count_rows_jobs_and_bytes(run: Run, filled: Filled) -> None:
    told = run("stats", "--json", "--database", filled.target).json

    rows = {table["name"]: table["rows"] for table in told["tables"]}
    assert (rows["sessions"], rows["included_files"], rows["background_jobs"]) == (1, 1, 3)
    assert told["jobs"] == {"queued": 1, "completed": 1, "failed": 1}
    assert told["size_bytes"] > 0
    assert told["settings"]["version"]


def test_stats_of_another_database_have_no_jobs(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (a)")
        conn.commit()

    told = run("stats", "--json", "--database", path).json

    assert ([table["name"] for table in told["tables"]], told["jobs"]) == (["theirs"], {})
