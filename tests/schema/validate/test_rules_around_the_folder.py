"""Rules that look beyond the folder: stray migrations, version control, code; and comments that allow."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.rule_cases import write_files

from datalayer.schema.numbered.folder import Folder
from datalayer.schema.validate import RuleFinding, validate

USERS = "CREATE TABLE users (\n    id INTEGER PRIMARY KEY,\n    nickname TEXT,\n    email TEXT NOT NULL\n);\n"
POSTS = "CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT '');\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"migrations/0001_users.sql": USERS, "migrations/0002_posts.sql": POSTS}
    return write_files(tmp_path / "project", files)


def told(project: Path, rule: str) -> list[RuleFinding]:
    found = validate(Folder(project / "migrations"), root=project)
    return [one for one in found if one.id == rule]


def places(project: Path, rule: str) -> list[tuple[str, int, str]]:
    return [
        (Path(one.file).relative_to(project).as_posix(), one.line, one.severity)
        for one in told(project, rule)
    ]


def git(project: Path, *words: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(project), *names, *words], check=True, capture_output=True)


@pytest.fixture
def repository(project: Path) -> Path:
    assert shutil.which("git")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "first")
    return project


def test_migrations_elsewhere_are_told_once_a_folder(project: Path) -> None:
    before = told(project, "J009")
    write_files(
        project,
        {"old/0001_a.sql": "CREATE TABLE a (x);\n", "old/0002_b.sql": "ALTER TABLE a ADD COLUMN y;\n"},
    )
    write_files(project, {"queries/01_report.sql": "SELECT 1;\n", "node_modules/x/0001_a.sql": POSTS})

    assert before == []
    assert places(project, "J009") == [("old/0001_a.sql", 1, "warning")]


def test_nearly_the_same_migration_elsewhere_is_an_error(project: Path) -> None:
    write_files(project, {"db/0009_people.sql": USERS.replace("email TEXT NOT NULL", "email TEXT")})

    assert places(project, "J009") == [("db/0009_people.sql", 1, "error")]


def test_shared_migration_that_was_edited_is_told(repository: Path) -> None:
    before = told(repository, "J011")
    path = repository / "migrations" / "0001_users.sql"
    path.write_text(f"-- people\n{USERS}")
    commented = told(repository, "J011")
    path.write_text(USERS.replace("nickname", "nick"))

    assert (before, commented) == ([], [])
    assert places(repository, "J011") == [("migrations/0001_users.sql", 1, "error")]


def test_shared_migration_that_was_renamed_or_deleted_is_told(repository: Path) -> None:
    folder = repository / "migrations"
    (folder / "0001_users.sql").rename(folder / "0001_people.sql")
    (folder / "0002_posts.sql").unlink()

    found = told(repository, "J011")

    assert [Path(one.file).name for one in found] == ["0001_users.sql", "0002_posts.sql"]
    assert "was renamed to 0001_people" in found[0].message
    assert "was deleted" in found[1].message


def test_new_migration_is_no_edit(repository: Path) -> None:
    write_files(repository, {"migrations/0003_more.sql": "CREATE TABLE more (id INTEGER);\n"})

    assert told(repository, "J011") == []


def test_edit_after_later_migrations_is_told_though_it_is_committed(repository: Path) -> None:
    (repository / "migrations" / "0001_users.sql").write_text(USERS.replace("nickname", "nick"))
    git(repository, "commit", "--quiet", "-am", "change")

    (found,) = told(repository, "J011")

    assert "after later migrations were there" in found.message


def test_newest_migration_may_be_edited_until_the_next_one(repository: Path) -> None:
    (repository / "migrations" / "0002_posts.sql").write_text(POSTS.replace("title", "heading"))
    git(repository, "commit", "--quiet", "-am", "change")

    assert told(repository, "J011") == []


def test_code_that_names_what_is_dropped_is_told(project: Path) -> None:
    write_files(project, {"migrations/0003_drop.sql": "\nALTER TABLE users DROP COLUMN nickname;\n"})
    write_files(project, {"app/queries.py": "# one\nSQL = 'SELECT email FROM users'\n"})
    before = told(project, "R001")
    write_files(project, {"app/people.ts": "// two\nconst q = 'SELECT nickname FROM users'\n"})

    (found,) = told(project, "R001")

    assert before == []
    assert (Path(found.file).name, found.line) == ("0003_drop.sql", 2)
    assert "app/people.ts:2" in found.message


def test_table_that_is_renamed_is_looked_for_in_code(project: Path) -> None:
    write_files(project, {"migrations/0003_rename.sql": "ALTER TABLE posts RENAME TO articles;\n"})
    write_files(project, {"app.py": "TABLE = 'posts'\n", "other.py": "composts = 1\n"})

    assert places(project, "R001") == [("migrations/0003_rename.sql", 1, "warning")]


def test_column_that_a_recreated_table_keeps_is_not_looked_for(project: Path) -> None:
    text = (
        "CREATE TABLE posts_new (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT '', body TEXT);\n"
        "INSERT INTO posts_new (id, title) SELECT id, title FROM posts;\nDROP TABLE posts;\n"
        "ALTER TABLE posts_new RENAME TO posts;\n"
    )
    write_files(project, {"migrations/0003_body.sql": text, "app.py": "q = 'SELECT title FROM posts'\n"})

    assert told(project, "R001") == []


def test_without_the_project_nothing_around_is_looked_at(project: Path) -> None:
    write_files(project, {"old/0001_a.sql": "CREATE TABLE a (x);\n"})

    assert validate(Folder(project / "migrations")) == []


def test_comment_allows_a_rule_at_its_statement(project: Path) -> None:
    swap = (
        "CREATE TABLE a (id INTEGER);\n"
        "-- datalayer:allow D002 nobody has posts\n"
        "DROP TABLE posts;\n"
        "DROP TABLE users;\n"
    )
    write_files(project, {"migrations/0003_swap.sql": swap})

    assert [one.line for one in told(project, "D002")] == [4]


def test_comment_above_the_first_statement_allows_a_rule_in_the_file(project: Path) -> None:
    text = "-- datalayer:allow D002, N005\n\nDROP TABLE posts;\nDROP TABLE users;\n"
    write_files(project, {"migrations/0003_swap.sql": text})

    assert told(project, "D002") == []
