"""`datalayer jobs work`: run jobs with worker processes until a signal, or until none is due."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from datalayer.cli.arguments import Parser, whole_number
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result
from datalayer.cli.signals import noticing_signals
from datalayer.errors import DataLayerError

__all__ = ["COMMANDS"]

_FINAL = ("completed", "failed", "canceled")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--app",
        metavar="MODULE:WORKER",
        required=True,
        help="a mapping of task types to handlers, or a function that is given Jobs and gives a Worker",
    )
    parser.add_argument(
        "--processes", metavar="N", type=whole_number(1), default=1, help="so many at a time (1)"
    )
    parser.add_argument(
        "--until-idle", action="store_true", help="end when no job is due, instead of waiting for more"
    )


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    _find_app(arguments.app)
    if call.address.path is None and call.address.secret_url is None:
        raise UsageError(
            "worker processes cannot share :memory:", hint="name a file or a server by --database"
        )
    with call.change() as store:
        before = _finished(store.jobs.counts_by_status())
        data_dir = store.data_dir
    call.terminal.say(f"{arguments.processes} worker processes; Ctrl-C ends them after the jobs they are at")
    from datalayer.domains.jobs.processes import run_processes

    with noticing_signals() as noticed:
        code = run_processes(
            call.choice.target,
            app=arguments.app,
            processes=arguments.processes,
            data_dir=data_dir,
            until_idle=arguments.until_idle,
        )
    if signal.SIGINT in noticed:
        raise KeyboardInterrupt
    with call.look() as store:
        after = _finished(store.jobs.counts_by_status())
    done = {status: after[status] - before[status] for status in _FINAL}
    facts: dict[str, Any] = {"app": arguments.app, "processes": arguments.processes, "finished": done}
    said = ", ".join(f"{count} {status}" for status, count in done.items() if count) or "no jobs were done"
    if code == 0:
        return Result(facts, [said])
    message = "a worker process ended badly; what it said is above"
    findings = [{"id": "worker", "severity": "error", "message": message}]
    return Result(facts, [said, message], findings, exit_code=1)


def _find_app(app: str) -> None:
    """Make sure that the app is there, looking in the working directory too, as `python -m` does."""
    from datalayer.domains.jobs.processes import load_worker

    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        load_worker(app)
    except DataLayerError as exc:
        raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc


def _finished(counts: dict[str, int]) -> dict[str, int]:
    return {status: counts[status] for status in _FINAL}


COMMANDS = {"jobs work": Command(_add_arguments, _run)}
