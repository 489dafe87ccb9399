"""`datalayer check-db`: show what is wrong with a database; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.cli.progress import Progress
from datalayer.cli.repair import add_repair_arguments, run_repair
from datalayer.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable, DataLayerError

if TYPE_CHECKING:
    from datalayer.schema.finding import Finding

__all__ = ["COMMANDS"]

_MIGRATE = ("DL-C024", "DL-C030", "DL-C034")
# with these, as errors, nothing of the database could be looked at
_ERRORS: dict[str, tuple[type[DataLayerError], str]] = {
    "DL-C070": (DatabaseUnavailable, "cannot check {}"),
    "DL-C074": (DatabaseUnavailable, "cannot check {}"),
    "DL-C075": (DatabaseUnavailable, "cannot check {}"),
    "DL-C076": (DatabaseBusy, "{} is locked"),
    "DL-C072": (DatabaseCorrupt, "{} is not a database"),
    "DL-C073": (DatabaseCorrupt, "{} is not a database"),
}
_UNREADABLE = "DL-C013"
_HINTS = {
    "DL-C070": "correct the path, or run `datalayer migrate`",
    "DL-C074": "give the path of a database file",
    "DL-C075": "check the owner and mode of the file and its folder",
    "DL-C076": "try again when it is done",
    "DL-C072": "check the path; `datalayer restore` puts a backup in its place",
    "DL-C073": "open it with its key, or put a backup in its place",
}


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--quick", action="store_true", help="leave out what reads every row")
    parser.add_argument("--schema", metavar="FILE", help="the schema to expect; the package's own without it")
    parser.add_argument("--no-schema", action="store_true", help="expect no schema, and look at the rest")
    parser.add_argument(
        "--rules", metavar="FILE", help='an app\'s own rules: {"id": {"sql": "...", "severity": "error"}}'
    )
    parser.add_argument("--repair", action="store_true", help="do what `datalayer repair` does")
    add_repair_arguments(parser)


def _run(call: Invocation) -> Result:
    arguments = call.arguments
    if arguments.repair:
        return run_repair(call)
    if arguments.yes or arguments.dry_run or arguments.output:
        raise UsageError("--yes, --dry-run and --output are for --repair", hint="add --repair")
    if arguments.schema and arguments.no_schema:
        raise UsageError("give --schema or --no-schema, not both", hint="run `datalayer check-db --help`")
    options: dict[str, Any] = {"quick": arguments.quick, "with_schema": not arguments.no_schema}
    if arguments.schema:
        from datalayer.schema.target import target_of

        options["expected"] = target_of(schema_file=arguments.schema).schema
    if arguments.rules:
        options["rules"] = _rules(arguments.rules)
    with Progress(call.terminal, "checking", None) as bar:
        found = _check(call, {**options, "progress": bar.advance})
    _refuse_unreadable(call, found)
    return _result(call, found)


def _rules(path: str) -> object:
    from datalayer.schema.check.rule import read_rules

    try:
        return read_rules(path)
    except DataLayerError as exc:
        raise UsageError(exc.what, why=exc.why, hint=exc.hint) from exc


def _check(call: Invocation, options: dict[str, Any]) -> list[Finding]:
    """Check a file without opening it first; a server needs a connection."""
    if call.address.path is None:
        with call.look() as store:
            return store.check(**options)
    call.refuse_missing_default()
    from datalayer.store import check_database

    return check_database(call.address.path, **options)


def _refuse_unreadable(call: Invocation, found: Sequence[Finding]) -> None:
    """Raise the error that stands for a finding with which there is nothing to be looked at."""
    for one in found:
        kind, what = _ERRORS.get(one.id, (None, ""))
        if kind is None or one.severity != "error":
            continue
        error = kind(what.format(call.address.display), why=one.message, hint=_HINTS[one.id])
        error.findings = [asdict(finding) for finding in found]
        raise error


def _result(call: Invocation, found: Sequence[Finding]) -> Result:
    findings = [asdict(finding) for finding in found]
    counts = {
        severity: sum(one["severity"] == severity for one in findings)
        for severity in ("error", "warning", "info")
    }
    facts = {"counts": counts, "quick": call.arguments.quick}
    if not findings:
        return Result(facts, [f"{call.address.display}: no problems found"])
    columns = ("id", "severity", "table", "object", "count", "message", "repair")
    table = Table(columns, [[one[name] for name in columns] for one in findings], frozenset({"count"}))
    said = ", ".join(f"{count} {severity}{'s'[: count != 1]}" for severity, count in counts.items() if count)
    return Result(facts, [table, said], findings, _following(found), exit_code=_exit_code(found))


def _exit_code(found: Sequence[Finding]) -> int:
    if any(one.id == _UNREADABLE for one in found):
        return 4
    return 1 if any(one.severity != "info" for one in found) else 0


def _following(found: Sequence[Finding]) -> str | None:
    """Give the command that puts right what was found, where one does."""
    wrong = [one for one in found if one.severity != "info"]
    if any(one.id in _MIGRATE for one in wrong):
        return "datalayer migrate"
    if any(one.repair in ("automatic", "lossy") for one in wrong):
        return "datalayer repair --dry-run"
    return None


COMMANDS = {"check-db": Command(_add_arguments, _run)}
