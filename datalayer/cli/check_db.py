"""`datalayer check-db`: show what is wrong with a database; writes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.cli.repair import add_repair_arguments, run_repair

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["COMMANDS"]

_MIGRATE = ("DL-C024", "DL-C030")
# kind of problem: (id, severity, message, repair)
_FILE_FINDINGS = {
    "orphan": ("DL-C060", "warning", "no job refers to the response file {path}", "automatic"),
    "missing": ("DL-C061", "error", "the response file {path} is gone", "none"),
    "short": ("DL-C062", "error", "the response file {path} was cut short", "none"),
}


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--quick", action="store_true", help="leave out what reads every row")
    parser.add_argument("--schema", metavar="FILE", help="the schema to expect; the package's own without it")
    parser.add_argument("--no-schema", action="store_true", help="expect no schema, and look at the rest")
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
    expected = None
    if arguments.schema:
        from datalayer.schema.target import target_of

        expected = target_of(schema_file=arguments.schema).schema
    with call.look() as store:
        found = store.check(quick=arguments.quick, expected=expected, with_schema=not arguments.no_schema)
        findings = [asdict(finding) for finding in found]
        is_ours = not arguments.no_schema and expected is None
        if is_ours and not any(one["severity"] == "error" for one in findings):
            findings += _response_files(store)
    return _result(call, findings)


def _result(call: Invocation, findings: list[dict[str, Any]]) -> Result:
    counts = {
        severity: sum(one["severity"] == severity for one in findings)
        for severity in ("error", "warning", "info")
    }
    facts = {"counts": counts, "quick": call.arguments.quick}
    if not findings:
        return Result(facts, [f"{call.address.display}: no problems found"])
    columns = ("id", "severity", "table", "object", "count", "message", "repair")
    table = Table(columns, [[one[name] for name in columns] for one in findings], frozenset({"count"}))
    is_bad = bool(counts["error"] or counts["warning"])
    following = "datalayer migrate" if any(one["id"] in _MIGRATE for one in findings) else None
    said = ", ".join(f"{count} {severity}{'s'[: count != 1]}" for severity, count in counts.items() if count)
    return Result(facts, [table, said], findings, following, exit_code=1 if is_bad else 0)


def _response_files(store: Store) -> list[dict[str, Any]]:
    """Give what is wrong between jobs and the files of their responses, as findings."""
    findings: list[dict[str, Any]] = []
    for problem in store.jobs.check_files():
        number, severity, message, repair = _FILE_FINDINGS[problem.kind]
        findings.append(
            {
                "id": number,
                "severity": severity,
                "table": "background_jobs",
                "object": problem.job_id,
                "count": 1,
                "message": message.format(path=problem.path),
                "repair": repair,
            }
        )
    return findings


COMMANDS = {"check-db": Command(_add_arguments, _run)}
