"""Running an app's jobs from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import Run, program
from support.source_tree import ROOT
from support.waiting import wait_until

from datalayer import connect

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

APP = """
from datalayer.domains.jobs import Worker

def shout(context):
    return context.job.prompt.upper()

def stumble(context):
    raise ValueError("cannot do this")

handlers = {"shout": shout, "stumble": stumble}
number = 3

def make_worker(jobs):
    return Worker(jobs, handlers, poll_s=0.1)
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "shouting_app.py").write_text(APP)
    monkeypatch.chdir(folder)
    return folder


def test_jobs_are_done_until_none_is_left(run: Run, app: Path, database: str) -> None:
    with connect(database) as store:
        ids = store.jobs.enqueue_many({"task_type": "shout", "prompt": f"word {n}"} for n in range(20))
        store.jobs.enqueue("stumble", max_attempts=1)

    answer = run(
        "jobs",
        "work",
        "--app",
        "shouting_app:handlers",
        "--processes",
        "2",
        "--until-idle",
        "--json",
        "--database",
        database,
    )

    assert answer.code == 0, answer.err
    assert answer.json["finished"] == {"completed": 20, "failed": 1, "canceled": 0}
    with connect(database) as store:
        assert store.jobs.read_response(ids[7]) == "WORD 7"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shouting_app", "names no worker"),
        ("shouting_app:missing", "cannot load the worker"),
        ("missing_app:handlers", "cannot load the worker"),
        ("shouting_app:number", "is a int"),
    ],
)
def test_app_that_names_no_worker_is_a_mistake_of_usage(
    run: Run, app: Path, migrated: Path, name: str, told: str
) -> None:
    answer = run("jobs", "work", "--app", name, "--database", migrated)

    assert (answer.code, answer.err[:15]) == (2, "error DL-E601: ")
    assert told in answer.err


def test_database_in_memory_is_a_mistake_of_usage(run: Run, app: Path) -> None:
    assert run("jobs", "work", "--app", "shouting_app:handlers", "--database", ":memory:").code == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signal_ends_the_work_after_the_job_it_is_at(
    app: Path, migrated: Path, number: signal.Signals, code: int
) -> None:
    sensitive = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    words = ["jobs", "work", "--app", "shouting_app:make_worker", "--json", "--database", migrated]

    with subprocess.Popen(
        program(words, sensitive),
        cwd=app,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        with connect(migrated) as store:
            job = store.jobs.enqueue("shout", "hello")
            assert wait_until(lambda: store.jobs.get(job.id).is_final)
        child.send_signal(number)
        out, told = child.communicate(timeout=30)

    assert child.returncode == code, told
    assert out.count("\n") == 1
    assert "Traceback" not in told
