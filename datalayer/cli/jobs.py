"""`datalayer jobs`: look at jobs, try them again, cancel them, clean up. Running them is jobs_work's."""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, add_lock_timeout, did_you_mean, one_of, whole_number
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.errors import NotFound

if TYPE_CHECKING:
    from datalayer.domains.jobs import Job, Jobs
    from datalayer.store import Store

__all__ = ["COMMANDS"]

_STATUSES = (
    "idle",
    "created",
    "queued",
    "acknowledged_by_worker",
    "preparing",
    "running",
    "completed",
    "failed",
    "canceled",
)
_NEAR_AMONG = 100
_SHOWN_CHARACTERS = 2_000


def _add_list(parser: Parser) -> None:
    parser.add_argument(
        "--status", metavar="STATUS", type=one_of("status", *_STATUSES), help="only of this status"
    )
    parser.add_argument("--type", metavar="TYPE", help="only of this task type")
    parser.add_argument("--session", metavar="ID", help="only of this session")
    parser.add_argument("--limit", metavar="N", type=whole_number(1), default=50, help="at most so many (50)")
    parser.add_argument("--after", metavar="CURSOR", help="go on where the page before ended (newest first)")


def _list(call: Invocation) -> Result:
    arguments = call.arguments
    given = {"status": arguments.status, "task_type": arguments.type, "session_id": arguments.session}
    wanted = {name: value for name, value in given.items() if value is not None}
    cursor = None
    with call.look() as store:
        counts = {status: count for status, count in store.jobs.counts_by_status().items() if count}
        if wanted or arguments.after is not None:
            page = store.jobs.newest(size=arguments.limit, after=arguments.after, **wanted)
            found, cursor = list(page.items), page.next
        else:
            found = store.jobs.list_visible(arguments.limit)
    rows = [
        [
            one.id,
            one.task_type,
            one.status,
            f"{one.attempt}/{one.max_attempts}",
            one.created_at,
            _message(one),
        ]
        for one in found
    ]
    shown: list[str | Table] = [
        Table(["id", "type", "status", "attempt", "created", "message"], rows, frozenset({"attempt"})),
        ", ".join(f"{count} {status}" for status, count in counts.items()),
    ]
    return Result(
        {"jobs": [_facts(one) for one in found], "counts": counts},
        shown if found else ["no jobs"],
        next=_following(call, cursor),
    )


def _following(call: Invocation, cursor: str | None) -> str | None:
    """Give the command for the next page."""
    if cursor is None:
        return None
    arguments = call.arguments
    options = {"--status": arguments.status, "--type": arguments.type, "--session": arguments.session}
    words = [word for option, value in options.items() if value is not None for word in (option, value)]
    return shlex.join(["datalayer", "jobs", "list", *words, "--after", cursor])


def _add_id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the job's id, as `jobs list` shows it")


def _show(call: Invocation) -> Result:
    findings: list[dict[str, Any]] = []
    with call.look() as store:
        job = _get(store.jobs, call.arguments.id)
        try:
            response = store.jobs.read_response(job)
        except NotFound as exc:
            # the job is there; the file of its response is not
            response = None
            findings.append({"id": "DL-C061", "severity": "error", "object": job.id, "message": exc.what})
    facts = {**_facts(job), "prompt": job.prompt, "response": response}
    fields = [
        (name, value) for name, value in facts.items() if value not in (None, "", {}) and name != "response"
    ]
    shown: list[str | Table] = [Table(["field", "value"], fields)]
    if response is not None:
        rest = len(response) - _SHOWN_CHARACTERS
        shown.append(response[:_SHOWN_CHARACTERS])
        if rest > 0:
            shown.append(f"... and {rest} more characters (--json prints all)")
    shown += [f"error: {finding['message']}" for finding in findings]
    return Result({"job": facts}, shown, findings, exit_code=1 if findings else 0)


def _add_retry(parser: Parser) -> None:
    _add_id(parser)
    add_lock_timeout(parser)


def _retry(call: Invocation) -> Result:
    with call.change() as store:
        old = _get(store.jobs, call.arguments.id)
        job = store.jobs.retry(old.id)
    return Result({"job": _facts(job), "retry_of": old.id}, [f"job {old.id} is queued again as {job.id}"])


def _add_cancel(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="the job's id, as `jobs list` shows it")
    parser.add_argument("--session", metavar="ID", help="all jobs of this session that are not final")
    parser.add_argument("--message", metavar="TEXT", help="why, for who looks at the job later")
    parser.add_argument("--yes", action="store_true", help="do not ask before canceling all of a session")
    add_lock_timeout(parser)


def _cancel(call: Invocation) -> Result:
    arguments = call.arguments
    if (arguments.id is None) == (arguments.session is None):
        raise UsageError("give the id of a job, or --session", hint="run `datalayer jobs cancel --help`")
    with call.change() as store:
        if arguments.id is not None:
            job = _get(store.jobs, arguments.id)
            store.jobs.cancel(job.id, arguments.message)
            return Result({"canceled": 1}, [f"job {job.id} is canceled"])
        session = store.sessions.get(arguments.session)
        call.confirm(f"cancel all jobs of session {session.id} ({session.name})?")
        count = store.jobs.cancel_session(session.id, arguments.message)
    return Result({"canceled": count}, [f"{count} jobs of session {session.id} are canceled"])


def _add_prune(parser: Parser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="DAYS",
        type=whole_number(0),
        default=30,
        help="that ended so many days ago (30)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say how many, and delete nothing")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument(
        "--backup", metavar="PATH", help="where the backup taken first goes; response files are not in it"
    )
    parser.add_argument("--no-backup", action="store_true", help="take no backup first")
    add_lock_timeout(parser)


def _prune(call: Invocation) -> Result:
    arguments = call.arguments
    days = arguments.older_than
    with call.look() if arguments.dry_run else call.change() as store:
        count = _count_old(store, days)
        facts: dict[str, Any] = {"prunable": count, "pruned": 0, "older_than_days": days, "backup": None}
        if count == 0 or arguments.dry_run:
            return Result(facts, [f"{count} jobs ended {days} days ago or earlier"])
        call.confirm(f"delete {count} jobs that ended {days} days ago or earlier, with their files?")
        if not arguments.no_backup:
            path = None if arguments.backup is None else Path(arguments.backup).absolute()
            facts["backup"] = str(store.backup(path).path)
        facts["pruned"] = store.jobs.prune(days)
    backup = f"; the backup is {facts['backup']}" if facts["backup"] else ""
    return Result(facts, [f"{facts['pruned']} jobs are deleted{backup}"])


def _count_old(store: Store, days: int) -> int:
    from datalayer.domains.jobs import Job

    return store.jobs.count(Job.end_time < store.engine.clock() - timedelta(days=days))


def _get(jobs: Jobs, key: str) -> Job:
    job = jobs.get_or_none(key)
    if job is not None:
        return job
    known = [one.id for one in jobs.newest(size=_NEAR_AMONG).items]
    raise NotFound(f"there is no job {key!r}", why=did_you_mean(key, known), hint="run `datalayer jobs list`")


def _facts(job: Job) -> dict[str, Any]:
    """Give a job's fields without what may be long."""
    return {name: value for name, value in job.__data__.items() if name not in ("prompt", "response")}


def _message(job: Job) -> str | None:
    return job.error_message or job.status_message


COMMANDS = {
    "jobs list": Command(_add_list, _list),
    "jobs show": Command(_add_id, _show),
    "jobs retry": Command(_add_retry, _retry),
    "jobs cancel": Command(_add_cancel, _cancel),
    "jobs prune": Command(_add_prune, _prune),
}
