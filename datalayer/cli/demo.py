"""`datalayer demo`: the work of every domain on a real folder, end to end, with how fast it went."""

from __future__ import annotations

import json
import shlex
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import datalayer
from datalayer.cli.arguments import Parser, whole_number
from datalayer.cli.demo_project import ANALYSE, HANDLERS, INDEX, survey
from datalayer.cli.demo_steps import steps
from datalayer.cli.failure import Interrupted, UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table, bytes_text
from datalayer.cli.progress import Progress
from datalayer.cli.signals import noticing_signals

if TYPE_CHECKING:
    from datalayer.domains.jobs import Job
    from datalayer.store import Store

__all__ = ["COMMANDS"]

_LOOK_S = 0.1


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--project", metavar="DIR", help="the folder to work on; the package's own source without it"
    )
    parser.add_argument(
        "--workers", metavar="N", type=whole_number(1), default=2, help="worker processes (2)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the database that was made in a temporary folder"
    )


def _run(call: Invocation) -> Result:
    project = Path(call.arguments.project or Path(datalayer.__file__).parent).absolute()
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint="give --project the folder to work on")
    with _database(call), call.make() as store:
        demo = _Demo(call, store, project)
        demo.run()
        return _result(call, demo)


@contextmanager
def _database(call: Invocation) -> Generator[None]:
    """Let the demo work on a database in a temporary folder, unless another is named on the command line."""
    if call.arguments.database is not None:
        yield
        return
    if call.arguments.keep:
        call.use(str(Path(tempfile.mkdtemp(prefix="datalayer-demo-"), "demo.db")))
        yield
        return
    with tempfile.TemporaryDirectory(prefix="datalayer-demo-", ignore_cleanup_errors=True) as folder:
        call.use(str(Path(folder, "demo.db")))
        yield


@dataclass(slots=True)
class _Step:
    name: str
    said: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    seconds: float = 0.0


class _Demo:
    """One run; each step says what it did and what it took."""

    def __init__(self, call: Invocation, store: Store, project: Path) -> None:
        self.call = call
        self.store = store
        self.project = project
        self.steps: list[_Step] = []
        self.findings: list[dict[str, Any]] = []
        self.session = ""
        self.names: list[str] = []
        self.ids: list[str] = []

    def run(self) -> None:
        with self._step("schema") as step:
            self._make_schema(step)
        with self._step("session") as step:
            self._open_session(step)
        with self._step("jobs") as step:
            self._do_jobs(step)
        with self._step("results") as step:
            self._collect(step)
        for name, work in steps().items():
            with self._step(name) as step:
                step.said, step.facts = work(self.store)
        with self._step("backup") as step:
            self._back_up(step)
        with self._step("check") as step:
            self._check(step)

    @contextmanager
    def _step(self, name: str) -> Generator[_Step]:
        step = _Step(name)
        started = perf_counter()
        yield step
        step.seconds = perf_counter() - started
        self.steps.append(step)
        self.call.terminal.say(f"demo: {name}: {step.said} ({step.seconds:.2f} s)")

    def _make_schema(self, step: _Step) -> None:
        done = self.store.migrate()
        step.facts = {"created": len(done.created), "nothing_to_do": done.nothing_to_do}
        step.said = "there already" if done.nothing_to_do else f"{len(done.created)} objects created"

    def _open_session(self, step: _Step) -> None:
        """Record the folder's files and queue a job for each, and one for all, in one transaction."""
        from datalayer.domains.sessions import Session

        found = survey(self.project)
        self.names = list(found.included)
        directory = str(self.project)
        store = self.store
        with store.transaction():
            known = next(
                (one for one in store.sessions.find_by_project(directory) if one.name == "demo"), None
            )
            session = known or Session(name="demo", project_directory=directory)
            self.session = store.sessions.save(session, found.included, found.excluded).session.id
            store.sessions.set_active(directory, self.session)
            shared: Any = {"session_id": self.session, "project_directory": directory, "max_attempts": 1}
            jobs: list[Any] = [{"task_type": ANALYSE, "prompt": name, **shared} for name in found.included]
            jobs.append({"task_type": INDEX, "prompt": json.dumps(found.included), "priority": 1, **shared})
            self.ids = store.jobs.enqueue_many(jobs)
        step.facts = {"id": self.session, "included": len(found.included), "excluded": len(found.excluded)}
        files = f"{len(found.included)} files included, {len(found.excluded)} excluded"
        step.said = f"{files}, {len(self.ids)} jobs queued"

    def _do_jobs(self, step: _Step) -> None:
        """Run the jobs in worker processes, watching them from a thread."""
        from datalayer.domains.jobs.processes import run_processes

        count = self.call.arguments.workers
        bar = Progress(self.call.terminal, "jobs", len(self.ids))
        with noticing_signals() as noticed, bar, self._watching(bar):
            run_processes(
                self.call.choice.target,
                app=HANDLERS,
                processes=count,
                data_dir=self.store.data_dir,
                until_idle=True,
            )
        if noticed:
            raise Interrupted("interrupted", why="jobs that were not begun stay queued")
        wanted = set(self.ids)
        jobs = [job for job in self.store.jobs.iterate(session_id=self.session) if job.id in wanted]
        seconds = _span_s(jobs)
        step.facts = {
            "processes": count,
            "completed": sum(job.status == "completed" for job in jobs),
            "failed": sum(job.status == "failed" for job in jobs),
            "seconds": round(seconds, 3),
            "per_second": round(len(jobs) / seconds, 1),
        }
        step.said = f"{len(jobs)} done by {count} processes, {step.facts['per_second']:,.0f} a second"

    @contextmanager
    def _watching(self, progress: Progress) -> Generator[None]:
        """Show how many of the jobs are done, while this thread waits for the processes."""
        from datalayer.domains.jobs import Job

        ended = threading.Event()
        left = (Job.session_id == self.session) & (Job.end_time.is_null())

        def watch() -> None:
            while not ended.wait(_LOOK_S):
                progress.advance(len(self.ids) - self.store.jobs.count(left))
            self.store.engine.release()

        thread = threading.Thread(target=watch, name="demo-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _collect(self, step: _Step) -> None:
        """Add up what the jobs found, cache it for the project, count the run."""
        store = self.store
        wanted = set(self.ids)
        totals = {"files": 0, "bytes": 0, "lines": 0, "words": 0}
        largest: dict[str, Any] = {"characters": 0, "file": None}
        for job in store.jobs.iterate(session_id=self.session):
            if job.id not in wanted:
                continue
            if job.status != "completed":
                message = f"{job.task_type} {job.prompt[:60]} is {job.status}: {job.error_message or ''}"
                self.findings.append({"id": "job", "severity": "error", "object": job.id, "message": message})
                continue
            if job.chars_received > largest["characters"]:
                largest = {"characters": job.chars_received, "file": job.output_file_path}
            if job.task_type == ANALYSE:
                _add_up(totals, json.loads(store.jobs.read_response(job) or "{}"))
        summary = {**totals, "largest_result": largest}
        store.cache.project(self.project).set("demo.summary", summary)
        step.facts = {**summary, "runs": store.kv.increment("demo.runs")}
        size = f"{bytes_text(largest['characters'])} in {'a file' if largest['file'] else 'its row'}"
        step.said = f"{totals['lines']:,} lines, {totals['words']:,} words; largest {size}"

    def _back_up(self, step: _Step) -> None:
        """Write a verified copy: beside a database file, else into the folder of large results."""
        path = None
        if self.store.engine.path is None:
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
            path = self.store.data_dir / "backups" / f"demo-{moment}.backup"
            path.parent.mkdir(parents=True, exist_ok=True)
        done = self.store.backup(path)
        step.facts = {"path": str(done.path), "size_bytes": done.size_bytes, "rows": sum(done.rows.values())}
        step.said = f"{step.facts['rows']:,} rows, {bytes_text(done.size_bytes)}, verified"

    def _check(self, step: _Step) -> None:
        found = [asdict(finding) for finding in self.store.check() if finding.severity != "info"]
        found += [
            {
                "id": "file",
                "severity": "error",
                "object": problem.job_id,
                "message": f"{problem.kind}: {problem.path}",
            }
            for problem in self.store.jobs.missing_files()
        ]
        self.findings += found
        step.facts = {"findings": len(found)}
        step.said = f"{len(found)} problems found" if found else "no problems found"


def _add_up(totals: dict[str, int], answer: dict[str, Any]) -> None:
    totals["files"] += 1
    for name in ("bytes", "lines", "words"):
        totals[name] += answer[name]


def _span_s(jobs: list[Job]) -> float:
    """Give the seconds from the first start to the last end, so that starting processes does not count."""
    starts = [job.start_time for job in jobs if job.start_time is not None]
    ends = [job.end_time for job in jobs if job.end_time is not None]
    return max((max(ends) - min(starts)).total_seconds(), 0.001) if starts and ends else 0.001


def _result(call: Invocation, demo: _Demo) -> Result:
    from datalayer.engine.figures import measure

    size = measure(demo.store.engine).size_bytes
    is_kept = call.arguments.keep or call.arguments.database is not None
    facts: dict[str, Any] = {step.name: step.facts for step in demo.steps}
    facts |= {"project": str(demo.project), "size_bytes": size, "is_kept": is_kept}
    facts["seconds"] = {step.name: round(step.seconds, 3) for step in demo.steps}
    rows = [[step.name, step.said, f"{step.seconds:.2f}"] for step in demo.steps]
    fate = "kept" if is_kept else "removed; --keep keeps it"
    shown: list[str | Table] = [
        f"{demo.project}: run {facts['results']['runs']} of the demo on this database",
        Table(["step", "done", "s"], rows, frozenset({"s"})),
        f"database: {call.address.display}, {bytes_text(size)} ({fate})",
        *(f"error: {finding['message']}" for finding in demo.findings),
    ]
    following = None
    if call.arguments.keep and call.arguments.database is None:
        following = shlex.join(["datalayer", "stats", "--database", call.choice.target])
    return Result(facts, shown, demo.findings, following, exit_code=1 if demo.findings else 0)


COMMANDS = {"demo": Command(_add_arguments, _run)}
