"""What can safely be put right on a PostgreSQL server, beside programs that go on working.

Invalid indexes are made anew, constraints validated, sequences moved on, missing objects made as a migration
does. No row is moved or changed: everything else is told, and left to people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.schema import catalog
from datalayer.schema.check import check
from datalayer.schema.finding import Finding
from datalayer.schema.migrator import migrate
from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.repair.report import RepairPlan, RepairReport, Step
from datalayer.schema.tokens import quote

__all__ = ["plan_server_repair", "repair_server"]

_MISSING = ("DL-C020", "DL-C021")
_OLDER = ("DL-C024", "DL-C030")
# what REINDEX CONCURRENTLY calls the index that it makes or replaces (sql-reindex.html)
_LEFTOVER = re.compile(r"_cc(new|old)\d*$")
_UNFINISHED = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND NOT i.indisvalid AND left(c.relname, length(%s)) = %s"""


def plan_server_repair(engine: Engine, expectation: Expectation) -> RepairPlan:
    """Say what a repair would do. Reads only."""
    findings = _look(engine, expectation)
    cures = _cures(engine, findings, expectation)
    steps = tuple(step for _, step, _ in cures)
    cured = [found for found, _, _ in cures]
    answered = _MISSING if any(step.action == "schema" for step in steps) else ()
    left = tuple(one for one in findings if one.id not in answered and one not in cured)
    return RepairPlan(engine.display_url, "in-place" if steps else "nothing", steps, left)


def repair_server(engine: Engine, expectation: Expectation) -> RepairReport:
    """Do what is safe; each cure by itself, so that one which fails leaves the others done.

    Indexes are made anew beside the traffic (REINDEX CONCURRENTLY, which is no transaction); the rest waits
    for weak locks. A second repair finds nothing but what is left.
    """
    started = monotonic()
    findings = _look(engine, expectation)
    done: list[Step] = []
    refused: list[Finding] = []
    for finding, step, act in _cures(engine, findings, expectation):
        try:
            act()
        except DataLayerError as exc:
            message = f"{finding.message}; not put right: {exc.why or exc.what}"
            refused.append(
                Finding(
                    finding.id,
                    finding.severity,
                    finding.table,
                    finding.object,
                    finding.count,
                    message,
                    "manual",
                )
            )
        else:
            done.append(step)
    known = {(one.id, one.table, one.object) for one in refused}
    left = [one for one in _look(engine, expectation) if (one.id, one.table, one.object) not in known]
    plan = RepairPlan(engine.display_url, "in-place" if done else "nothing", tuple(done), (*refused, *left))
    return RepairReport(plan, None, None, monotonic() - started)


_Cure = tuple[Finding, Step, Callable[[], object]]


def _look(engine: Engine, expectation: Expectation) -> list[Finding]:
    expected = expectation.schema
    rules = {**expectation.told, **expectation.rules}
    findings = check(engine, expected=expected, with_schema=expected is not None, rules=rules)
    return [one for one in findings if one.severity != "info"]


def _cures(engine: Engine, findings: Iterable[Finding], expectation: Expectation) -> list[_Cure]:
    every = list(findings)
    cures = [cure for one in every if (cure := _cure(engine, one)) is not None]
    missing = [one for one in every if one.id in _MISSING]
    if missing and expectation.target is not None and not any(one.id in _OLDER for one in every):
        target = expectation.target
        reason = "; ".join(one.message for one in missing[:5])
        step = Step("schema", None, None, len(missing), reason, "made as `datalayer migrate` does")
        cures.append((missing[0], step, lambda: migrate(engine, target)))
    return cures


def _cure(engine: Engine, finding: Finding) -> _Cure | None:
    schema = quote(engine.schema_name)
    if finding.table is None or finding.object is None:
        return None
    table, name = f"{schema}.{quote(finding.table)}", quote(finding.object)
    if finding.id == "DL-C050":
        index = finding.object
        choice = "what a REINDEX left goes" if _LEFTOVER.search(index) else "it is made anew"
        step = Step("reindex", finding.table, index, 1, finding.message, choice)
        return finding, step, lambda: _reindex(engine, index)
    if finding.id == "DL-C051" and finding.repair == "automatic":
        validate = f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
        step = Step("validate", finding.table, finding.object, 1, finding.message, "it is validated")
        return finding, step, lambda: engine.write(validate)
    if finding.id == "DL-C011":
        column = finding.object
        step = Step("sequence", finding.table, column, 1, finding.message, "it goes on behind the rows")
        return finding, step, lambda: _move_on(engine, str(finding.table), column)
    return None


def _reindex(engine: Engine, index: str) -> None:
    """Make an index anew beside the traffic; a failure leaves nothing behind but the index as it was."""
    schema = quote(engine.schema_name)
    if _LEFTOVER.search(index):
        engine.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.{quote(index)}")
        return
    try:
        engine.execute(f"REINDEX INDEX CONCURRENTLY {schema}.{quote(index)}")
    except DataLayerError:
        unfinished = f"{index}_ccnew"
        for (name,) in engine.fetch_all(_UNFINISHED, (engine.schema_name, unfinished, unfinished)):
            engine.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.{quote(str(name))}")
        raise


def _move_on(engine: Engine, table: str, column: str) -> None:
    """Let a column's sequence go on behind the highest number, while nobody takes one."""
    schema = quote(engine.schema_name)
    with engine.transaction():
        engine.execute(f"LOCK TABLE {schema}.{quote(table)} IN SHARE ROW EXCLUSIVE MODE")
        found = catalog.read(engine).tables[table].columns[column].sequence
        if found is None:
            return
        name = f"{schema}.{quote(found)}"
        engine.fetch_all(
            f"SELECT setval(%s::regclass, max({quote(column)})) FROM {schema}.{quote(table)}", (name,)
        )
