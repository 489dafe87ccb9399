"""`datalayer migrate`: bring the database to a schema, or say what would be done."""

from __future__ import annotations

import shlex
from time import monotonic
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, add_lock_timeout
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table, bytes_text
from datalayer.cli.progress import Progress
from datalayer.errors import DatabaseBusy, DatabaseUnavailable, MigrationRefused

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["COMMANDS"]

_LONGEST_SQL = 60


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--schema", metavar="FILE", help="a consolidated SQL file as the desired schema")
    parser.add_argument(
        "--dir", metavar="DIR", help="a folder of numbered .sql and .py files, drizzle's or D1's too"
    )
    parser.add_argument("--to", metavar="NAME", help="apply the files of --dir up to this one")
    parser.add_argument(
        "--rename",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="a rename: table.column=new or table=new, named as before; repeatable",
    )
    parser.add_argument(
        "--drop",
        metavar="T.C",
        action="append",
        default=[],
        help="let a column go with its values; repeatable",
    )
    parser.add_argument(
        "--drop-table",
        metavar="T",
        action="append",
        default=[],
        help="let a table go with its rows; repeatable",
    )
    parser.add_argument(
        "--allow-data-loss", action="store_true", help="let go whatever the desired schema lacks"
    )
    parser.add_argument("--no-backup", action="store_true", help="make no backup before the first change")
    parser.add_argument(
        "--plan",
        action="store_true",
        help="print the steps with cost and risk and change nothing; exit 1 if there are any",
    )
    parser.add_argument(
        "--domain",
        metavar="NAME",
        action="append",
        help="only this domain and what it needs, not all; repeatable",
    )
    add_lock_timeout(parser, "60")


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    if arguments.schema and arguments.dir:
        raise UsageError("give --schema or --dir, not both", hint="run `datalayer migrate --help`")
    if arguments.schema and arguments.to:
        raise UsageError("--to names a file of a folder, and --schema is one file", hint="leave out --to")
    if arguments.schema and arguments.domain:
        raise UsageError(
            "--domain names a part of a folder, and --schema is one file", hint="leave out --domain"
        )
    options = _options(call)
    is_missing = call.address.path is not None and not call.address.path.exists()
    if arguments.plan or is_missing:
        planned = _plan(call, is_missing=is_missing, **options)
        if arguments.plan:
            return planned
    with (
        _opened(call, monotonic() + arguments.lock_timeout) as store,
        Progress(call.terminal, "migrate", None) as progress,
    ):
        done = store.migrate(progress=progress.advance, **options)
    facts = {
        "applied": list(done.applied),
        "created": list(done.created),
        "steps": [_told(step) for step in done.steps],
        "nothing_to_do": done.nothing_to_do,
        "backup": None if done.backup is None else str(done.backup),
        "seconds": round(done.seconds, 3),
    }
    told = [f"{one['id']} {one['file']}: {one['message']}" for one in done.findings]
    if done.nothing_to_do:
        text = f"{call.address.display} is at the {_schema_name(call)} schema; nothing to do"
        return Result(facts, [text, *told], list(done.findings))
    lines = [f"{call.address.display}: {_summary(done)} in {done.seconds:.2f} s"]
    if done.backup is not None:
        lines.append(f"backup before it: {done.backup}")
    return Result(facts, [*lines, *told], list(done.findings))


def _opened(call: Invocation, deadline: float) -> Store:
    """Open the database, waiting for who has all of it to himself, as a VACUUM does."""
    while True:
        try:
            # short waits, many of them: SQLite's own wait cannot be interrupted. The journal mode of a file
            # that another program made is that program's.
            wait_s = min(call.arguments.lock_timeout, 1.0)
            return call.make(busy_timeout_s=wait_s, keeps_journal_mode=True)
        except DatabaseBusy:
            if monotonic() >= deadline:
                raise


def _options(call: Invocation) -> dict[str, Any]:
    from datalayer.schema.change.consent import Consent, parse_renames

    arguments = call.arguments
    try:
        renames = parse_renames(arguments.rename)
    except MigrationRefused as exc:
        raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc
    for word in arguments.drop:
        if "." not in word:
            raise UsageError(f"--drop {word} names no column", hint="write --drop table.column")
    consent = Consent(
        renames,
        frozenset(arguments.drop),
        frozenset(arguments.drop_table),
        arguments.allow_data_loss,
        arguments.no_backup,
    )
    return {
        "schema_file": arguments.schema,
        "folder": arguments.dir,
        "to": arguments.to,
        "domains": arguments.domain,
        "consent": consent,
        "lock_timeout_s": arguments.lock_timeout,
    }


def _schema_name(call: Invocation) -> str:
    return "wanted" if call.arguments.schema or call.arguments.dir else "current"


def _summary(done: Any) -> str:
    """Say what was done: made, changed, applied."""
    changed = [
        step for step in done.steps if step.cost in ("alter", "scan", "rebuild") and step.kind == "table"
    ]
    counts = [(len(done.created), "object", "created"), (len(changed), "table", "changed")]
    if not any(count for count, _, _ in counts):
        other = (
            (len(done.applied), "migration", "applied") if done.applied else (len(done.steps), "step", "done")
        )
        counts = [other]
    parts = [f"{count} {noun}{'s' * (count != 1)} {verb}" for count, noun, verb in counts if count]
    names = f" ({', '.join(done.applied)})" if done.applied else ""
    return f"{', '.join(parts)}{names}"


def _plan(call: Invocation, *, is_missing: bool, **options: Any) -> Result:
    """Tell the steps; for a missing file they are found in memory, so that a refusal leaves none behind."""
    from datalayer.store import connect

    if is_missing:
        _refuse_missing_folder(call)
    # a server is asked for the wanted schema in its own words, in a transaction that is rolled back
    look = call.change if call.address.path is None else call.look
    with connect(":memory:") if is_missing else look() as store:
        planned = store.migrate(plan=True, **options)
    steps = [_told(step) for step in planned.steps]
    facts = {"steps": steps, "nothing_to_do": planned.nothing_to_do}
    if planned.nothing_to_do:
        text = f"{call.address.display} is at the {_schema_name(call)} schema; nothing to do"
        return Result(facts, [text], list(planned.findings))
    findings = [
        {"id": "pending", "severity": "info", "object": s["name"], "message": f"{s['kind']} {s['name']}"}
        for s in steps
    ] or [
        {"id": "pending", "severity": "info", "object": name, "message": f"{name} is to be recorded"}
        for name in planned.applied
    ]
    findings += planned.findings
    return Result(facts, [_table(steps)], findings, next=_same_without_plan(call), exit_code=1)


def _same_without_plan(call: Invocation) -> str:
    """Give the command that does what the plan told."""
    arguments = call.arguments
    words = ["datalayer", "migrate"]
    for option in ("schema", "dir", "to"):
        if getattr(arguments, option):
            words += [f"--{option}", getattr(arguments, option)]
    for name in arguments.domain or ():
        words += ["--domain", name]
    for option in ("rename", "drop", "drop_table"):
        for word in getattr(arguments, option):
            words += [f"--{option.replace('_', '-')}", word]
    words += [
        f"--{option.replace('_', '-')}"
        for option in ("allow_data_loss", "no_backup")
        if getattr(arguments, option)
    ]
    return shlex.join(words)


def _told(step: Any) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "name": step.name,
        "sql": step.sql,
        "cost": step.cost,
        "rows": step.rows,
        "bytes": step.size_bytes,
        "seconds": step.seconds,
        "risk": step.risk,
    }


def _table(steps: list[dict[str, Any]]) -> Table:
    """Show a plan: with what it costs where something existed before."""
    if not any(step["cost"] for step in steps):
        return Table(
            ["step", "object", "statement"], [[s["kind"], s["name"], _first_line(s["sql"])] for s in steps]
        )
    rows = [
        [
            step["kind"],
            step["name"],
            step["cost"],
            "" if step["rows"] is None else step["rows"],
            "" if step["bytes"] is None else bytes_text(step["bytes"]),
            "" if step["seconds"] is None else f"{step['seconds']:.2f}",
            step["risk"] or _first_line(step["sql"]),
        ]
        for step in steps
    ]
    columns = ["step", "object", "cost", "rows", "size", "s", "what"]
    return Table(columns, rows, frozenset({"rows", "size", "s"}))


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
