"""`datalayer repair`: put right what check-db finds, with every original byte kept."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.cli.progress import Progress

if TYPE_CHECKING:
    from datalayer.schema.check.rule import Rule
    from datalayer.schema.finding import Finding
    from datalayer.schema.repair.expectation import Expectation
    from datalayer.schema.repair.report import RepairPlan, RepairReport

__all__ = ["COMMANDS", "add_repair_arguments", "run_repair"]


def add_repair_arguments(parser: Parser) -> None:
    """Add what a repair takes beyond schema and rules."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")
    parser.add_argument(
        "--output", metavar="PATH", help="write the repaired database there and leave the original alone"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="let rows that break rules move to the table lost_and_found; allow placeholders for lost rows",
    )


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--schema", metavar="FILE", help="the schema it should have; default: the package's own"
    )
    parser.add_argument("--no-schema", action="store_true", help="expect no schema but what the file tells")
    parser.add_argument(
        "--rules", metavar="FILE", help="JSON {id: {sql, severity}}: queries for rows that break a rule"
    )
    add_repair_arguments(parser)
    parser.add_argument(
        "--undo", action="store_true", help="put the bytes back that the last repair found, verified first"
    )


def run_repair(call: Invocation) -> Result:
    """Repair, or say what would be done."""
    arguments = call.arguments
    _refuse_mixtures(call)
    if getattr(arguments, "undo", False):
        return _undo(call)
    expectation = _expectation(call)
    if call.address.path is None:
        return _repair_server(call, expectation)
    from datalayer.schema.repair.repairing import plan_repair, repair

    path, output = call.address.path, arguments.output
    with Progress(call.terminal, "repair", None) as progress:
        if arguments.dry_run:
            return _planned(call, plan_repair(path, expectation, progress=progress.advance))
        is_agreed = arguments.yes or output is not None
        if not is_agreed:
            plan = plan_repair(path, expectation, progress=progress.advance)
            if plan.is_lossy:
                _ask(call, plan)
                is_agreed = True
        done = repair(
            path,
            expectation,
            output=None if output is None else Path(output).absolute(),
            yes=is_agreed,
            progress=progress.advance,
        )
    return _done(call, done)


def _refuse_mixtures(call: Invocation) -> None:
    given = call.arguments
    if given.schema and given.no_schema:
        raise UsageError(
            "give --schema or --no-schema, not both", hint=f"run `datalayer {call.command} --help`"
        )
    if getattr(given, "undo", False) and (given.dry_run or given.output):
        raise UsageError("--undo takes no other word", hint="run `datalayer repair --undo`")
    if given.dry_run and given.output:
        raise UsageError("give --dry-run or --output, not both", hint="run `datalayer repair --help`")


def _expectation(call: Invocation) -> Expectation:
    from datalayer.domains import checks
    from datalayer.schema.check.rule import read_rules
    from datalayer.schema.repair.expectation import Expectation
    from datalayer.schema.target import target_of

    arguments = call.arguments
    file: str | None = getattr(arguments, "rules", None)
    rules: Mapping[str, Rule] = {} if file is None else read_rules(file)
    if arguments.no_schema:
        return Expectation(None, rules)
    told: Mapping[str, Rule] = {} if arguments.schema else checks()
    return Expectation(target_of(schema_file=arguments.schema), rules, told)


def _ask(call: Invocation, plan: RepairPlan) -> None:
    lossy = [step for step in plan.steps if step.is_lossy]
    if call.terminal.can_ask:
        call.terminal.show([_steps(plan)])
    rows = sum(step.count for step in lossy if step.action == "move")
    moved = f", {rows} rows move to lost_and_found" if rows else ""
    made = sum(step.count for step in lossy if step.action == "placeholder")
    held = f", {made} placeholders are made for lost rows" if made else ""
    call.confirm(f"repair {call.address.display}: {len(plan.steps)} steps{moved}{held}?")


def _repair_server(call: Invocation, expectation: Expectation) -> Result:
    if call.address.display == ":memory:":
        raise UsageError("a database in memory cannot be repaired", hint="name a file by --database")
    if call.arguments.output is not None:
        raise UsageError("--output is for database files", hint="make a copy by `datalayer backup`")
    from datalayer.schema.repair.server import plan_server_repair, repair_server

    if call.arguments.dry_run:
        with call.change() as store:
            return _planned(call, plan_server_repair(store.engine, expectation))
    with call.change() as store:
        return _done(call, repair_server(store.engine, expectation))


def _undo(call: Invocation) -> Result:
    if call.address.path is None:
        raise UsageError("only the repair of a database file can be undone", hint="restore a backup")
    from datalayer.schema.repair.repairing import undo

    done = undo(call.address.path)
    lines = [f"{call.address.display} is again what it was before the repair: the bytes of {done.restored}"]
    if done.kept is not None:
        lines.append(f"what they replace is kept in {done.kept}")
    kept = None if done.kept is None else str(done.kept)
    return Result({"restored": str(done.restored), "kept": kept}, lines)


def _planned(call: Invocation, plan: RepairPlan) -> Result:
    if plan.is_empty:
        return _nothing(call, plan, plan.as_object())
    words = ["datalayer", "repair", *_options(call), *(["--yes"] if plan.is_lossy else [])]
    blocks: list[str | Table] = [_steps(plan), *_choices(plan), *_outcomes(plan), *_left(plan.left)]
    facts = {**plan.as_object(), "nothing_to_do": False}
    return Result(facts, blocks, _findings(plan.left), shlex.join(words), exit_code=1)


def _done(call: Invocation, report: RepairReport) -> Result:
    plan, facts = report.plan, report.as_object()
    if report.nothing_to_do:
        return _nothing(call, plan, facts)
    where = f" into {report.output}" if call.arguments.output else ""
    way = "salvaged" if plan.way == "salvage" else "repaired"
    head = f"{call.address.display}: {way}{where} in {report.seconds:.2f} s"
    blocks: list[str | Table] = [_steps(plan), *_choices(plan), *_outcomes(plan), *_left(plan.left), head]
    if report.evidence is not None:
        blocks.append(
            f"every original byte is kept in {report.evidence}; to take it back: datalayer repair --undo"
        )
    following = "datalayer check-db" if plan.left else None
    return Result(facts, blocks, _findings(plan.left), following, exit_code=1 if plan.left else 0)


def _nothing(call: Invocation, plan: RepairPlan, facts: Mapping[str, Any]) -> Result:
    facts = {**facts, "nothing_to_do": True}
    text = f"{call.address.display}: nothing to repair"
    older = any(one.id in ("DL-C024", "DL-C030") for one in plan.left)
    following = "datalayer migrate" if older else None
    blocks: list[str | Table] = [*_left(plan.left), text]
    return Result(facts, blocks, _findings(plan.left), following, exit_code=1 if plan.left else 0)


def _options(call: Invocation) -> list[str]:
    arguments = call.arguments
    words = [word for name in ("schema", "rules") for word in _given(name, getattr(arguments, name, None))]
    return [*words, *(["--no-schema"] if arguments.no_schema else [])]


def _given(name: str, value: str | None) -> list[str]:
    return [] if value is None else [f"--{name}", value]


def _steps(plan: RepairPlan) -> Table:
    rows = [
        [step.action, step.table, step.object, step.count, step.reason, step.choice] for step in plan.steps
    ]
    return Table(("cure", "table", "object", "count", "why", "what is done"), rows, frozenset({"count"}))


def _choices(plan: RepairPlan) -> list[str | Table]:
    # said in full: these are what somebody may want to decide otherwise
    return [f"{step.action}, {step.table}: {step}" for step in plan.steps if "a backup may" in step.choice]


def _outcomes(plan: RepairPlan) -> list[str | Table]:
    touched = {
        name: one
        for name, one in sorted(plan.tables.items())
        if plan.way == "salvage" or one.moved or one.changed or one.given_up or one.made
    }
    if not touched:
        return []
    columns = ("table", "kept", "moved", "changed", "given up", "placeholders")
    rows = [[name, one.kept, one.moved, one.changed, one.given_up, one.made] for name, one in touched.items()]
    return [Table(columns, rows, frozenset(columns[1:]))]


def _left(left: Sequence[Finding]) -> list[str | Table]:
    return [f"left to you, {one.id}: {one.message}" for one in left]


def _findings(left: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(one) for one in left]


COMMANDS = {"repair": Command(_add_arguments, run_repair)}
"""`check-db --repair` runs the same."""
