"""`datalayer migrate`: bring the database to a schema, or say what would be done."""

from __future__ import annotations

from datalayer.cli.arguments import Parser, add_lock_timeout
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.errors import DatabaseUnavailable

__all__ = ["COMMANDS"]

_LONGEST_SQL = 60


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--schema", metavar="FILE", help="a consolidated SQL file as the desired schema")
    parser.add_argument("--dir", metavar="DIR", help="a folder of numbered .sql files")
    parser.add_argument(
        "--plan", action="store_true", help="print the steps and change nothing; exit 1 if there are any"
    )
    add_lock_timeout(parser, "60")


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    if arguments.schema and arguments.dir:
        raise UsageError("give --schema or --dir, not both", hint="run `datalayer migrate --help`")
    options = {
        "schema_file": arguments.schema,
        "folder": arguments.dir,
        "lock_timeout_s": arguments.lock_timeout,
    }
    is_missing = call.address.path is not None and not call.address.path.exists()
    if arguments.plan or is_missing:
        planned = _plan(call, is_missing=is_missing, **options)
        if arguments.plan:
            return planned
    # short waits, many of them: SQLite's own wait cannot be interrupted
    with call.make(busy_timeout_s=min(arguments.lock_timeout, 1.0)) as store:
        done = store.migrate(**options)
    facts = {
        "applied": list(done.applied),
        "created": list(done.created),
        "nothing_to_do": done.nothing_to_do,
        "seconds": round(done.seconds, 3),
    }
    if done.nothing_to_do:
        return Result(facts, [f"{call.address.display} is at the current schema; nothing to do"])
    names = f" ({', '.join(done.applied)})" if done.applied else ""
    text = f"{call.address.display}: {len(done.created)} objects created in {done.seconds:.2f} s{names}"
    return Result(facts, [text])


def _plan(call: Invocation, *, is_missing: bool, **options: object) -> Result:
    """Tell the steps; for a missing file they are found in memory, so that a refusal leaves none behind."""
    from datalayer.store import connect

    if is_missing:
        _refuse_missing_folder(call)
    with connect(":memory:") if is_missing else call.look() as store:
        planned = store.migrate(plan=True, **options)
    steps = [{"kind": step.kind, "name": step.name, "sql": step.sql} for step in planned.steps]
    facts = {"steps": steps, "nothing_to_do": planned.nothing_to_do}
    if planned.nothing_to_do:
        return Result(facts, [f"{call.address.display} is at the current schema; nothing to do"])
    table = Table(
        ["step", "object", "statement"], [[s["kind"], s["name"], _first_line(s["sql"])] for s in steps]
    )
    findings = [
        {"id": "pending", "severity": "info", "object": s["name"], "message": f"{s['kind']} {s['name']}"}
        for s in steps
    ]
    return Result(facts, [table], findings, next="datalayer migrate", exit_code=1)


def _refuse_missing_folder(call: Invocation) -> None:
    path = call.address.path
    if path is None or path.parent.is_dir() or call.choice.is_platform_default:
        return
    raise DatabaseUnavailable(
        f"cannot open {path}",
        why=f"the folder {path.parent} does not exist",
        hint="make it, or correct the path",
    )


def _first_line(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= _LONGEST_SQL else f"{line[: _LONGEST_SQL - 1]}…"


COMMANDS = {"migrate": Command(_add_arguments, _run)}
