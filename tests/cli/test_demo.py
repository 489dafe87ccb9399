"""The demo: real work on a real folder in every domain, end to end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import Run, program
from support.source_tree import ROOT
from support.waiting import wait_until

from datalayer import connect
from datalayer.cli.demo_project import analyse_file, index_project, survey

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "src" / "a.txt").write_text("one two two\nthree\n")
    # long enough that the index of it all does not fit in a row
    (folder / "src" / "words.txt").write_text("\n".join(f"word_{number}" for number in range(5_000)))
    (folder / "Löwe.md").write_text("# Löwe", encoding="utf-8")
    (folder / "picture.bin").write_bytes(b"\x89PNG\0\0")
    (folder / "latin.txt").write_bytes("Löwe".encode("latin-1"))
    (folder / "large.txt").write_bytes(b"x" * (1024 * 1024 + 1))
    (folder / "__pycache__" / "a.pyc").write_text("text in an ignored folder")
    return folder


def test_files_are_taken_in_or_left_out_with_a_reason(project: Path) -> None:
    (project / "link.txt").symlink_to(project / "src" / "a.txt")

    found = survey(project)

    assert found.included == ("Löwe.md", "src/a.txt", "src/words.txt")
    assert found.excluded == {
        "__pycache__/a.pyc": "in an ignored folder",
        "large.txt": "too large",
        "latin.txt": "not UTF-8",
        "picture.bin": "binary",
    }


def test_what_is_computed_of_a_file_is_right(project: Path) -> None:
    path = project / "src" / "a.txt"

    assert analyse_file(path) == {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": 18,
        "lines": 2,
        "words": 4,
        "top": [("two", 2), ("one", 1), ("three", 1)],
    }
    assert index_project(project, ["src/a.txt"])["two"] == {"src/a.txt": [1]}


@pytest.mark.slow
def test_demo_does_real_work_in_every_domain_twice(run: Run, database: str, project: Path) -> None:
    words = ["demo", "--project", project, "--workers", "2", "--json", "--database", database]

    first, second = run(*words), run(*words)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    told = first.json
    assert told["session"]["included"] == 3
    assert told["session"]["excluded"] == 4
    assert (told["jobs"]["completed"], told["jobs"]["failed"], told["jobs"]["processes"]) == (4, 0, 2)
    assert (told["results"]["files"], told["results"]["words"]) == (3, 4 + 5_000 + 1)
    assert told["results"]["largest_result"]["characters"] > 64 * 1024
    assert told["results"]["largest_result"]["file"]
    assert [told["results"]["runs"], second.json["results"]["runs"]] == [1, 2]
    assert Path(told["backup"]["path"]).stat().st_size == told["backup"]["size_bytes"]
    assert told["check"] == {"findings": 0}
    assert_work_is_there(database, project, told["session"]["id"])


def assert_work_is_there(database: str, project: Path, session: str) -> None:
    with connect(database) as store:
        active = store.sessions.get_active(project)
        assert active is not None
        assert active.id == session
        assert store.sessions.get_with_files(session).included_files == (
            "Löwe.md",
            "src/a.txt",
            "src/words.txt",
        )
        assert store.cache.project(project).get("demo.summary")["files"] == 3
        assert store.kv.get("demo.runs") == 2
        assert store.jobs.counts_by_status()["completed"] == 8
        (index, *_) = store.jobs.find(task_type="demo.index_project")
        assert json.loads(store.jobs.read_response(index) or "")["two"] == {"src/a.txt": [1]}
        assert store.jobs.check_files() == []


def test_demo_tells_people_what_it_did_and_leaves_nothing(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    answer = run("demo", "--project", project, "--workers", "1")

    assert answer.code == 0, answer.err
    assert "4 done by 1 processes" in answer.out
    assert "demo: backup: " in answer.err
    assert list(folder.iterdir()) == []


def test_demo_keeps_its_database_where_that_is_said(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    told = run("demo", "--project", project, "--workers", "1", "--keep", "--json").json

    assert Path(told["database"]).is_file()
    assert told["next"].startswith("datalayer stats --database ")
    assert run(*told["next"].split()[1:], "--json").json["jobs"] == {"completed": 4}


def test_any_name_of_a_file_is_fine(run: Run, project: Path, migrated: Path) -> None:
    for name in ("two\nlines.txt", "quote'\".txt", "-rf", "ünïcode"):
        (project / name).write_text("x")

    answer = run("demo", "--project", project, "--workers", "1", "--json", "--database", migrated)

    assert (answer.code, answer.json["results"]["files"], answer.json["findings"]) == (0, 7, [])


def test_demo_of_a_folder_that_is_not_there_is_a_mistake_of_usage(run: Run, tmp_path: Path) -> None:
    answer = run("demo", "--project", tmp_path / "missing")

    assert (answer.code, len(answer.err.splitlines())) == (2, 2)


@pytest.mark.slow
def test_interrupted_demo_ends_with_130_and_a_sound_database(tmp_path: Path, project: Path) -> None:
    database = tmp_path / "demo.db"
    for number in range(300):
        (project / f"{number}.txt").write_text("word " * 10_000)
    sensitive = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    words = ["demo", "--project", project, "--workers", "1", "--database", database]

    with subprocess.Popen(
        program(words, sensitive),
        cwd=ROOT,
        env={**os.environ},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert wait_until(lambda: is_working(database))
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=30)

    assert child.returncode == 130, told
    assert "error DL-E603: interrupted" in told
    with connect(database) as store:
        counts = store.jobs.counts_by_status()
        assert store.check() == []
    assert counts["queued"] > 0
    assert counts["running"] == 0


def is_working(database: Path) -> bool:
    """Whether the first job is done."""
    if not database.exists():
        return False
    with connect(database) as store:
        try:
            return store.jobs.counts_by_status()["completed"] > 0
        except Exception:
            # its tables are not there yet
            return False
