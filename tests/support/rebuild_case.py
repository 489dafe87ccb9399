"""One case of the table of rebuilds, and how it is judged.

A case is data: a database, the schema it shall have, what the user has said, whether it is done or refused.
Judging imports nothing of the package but the one function that migrates.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.live_schema import Connect, Row, brief, differing, plain_connect, rows
from support.naive_copy import CannotHold, Copy, naive_copy
from support.oracle import kept_header, problems, touched_indexes, whole
from support.rebuilding import Outcome, run_migrate
from support.sql_words import statements

Run = Callable[..., Outcome]
Asked = tuple[tuple[str, list[Row]], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A database to make, and the schema to bring it to.

    `before` is run in a new file, then `fill` (SQL with values); `after` is the desired schema. `refused`
    holds what a refusal must name, None where the migration must be done. `asked` are questions with their
    answers in the migrated file, `then` the same after `act` was executed in it. `back` are the renames for
    the way back, on which everything must be as at first. `setup` comes before anything else (encoding and
    the like). `is_nothing` where nothing at all is to be done, `is_slow` where it takes long with its like.
    """

    name: str
    before: str
    after: str
    renames: Mapping[str, str] = field(default_factory=dict[str, str])
    drop_columns: tuple[str, ...] = ()
    drop_tables: tuple[str, ...] = ()
    allow_data_loss: bool = False
    refused: tuple[str, ...] | None = None
    fill: tuple[tuple[str, Row], ...] = ()
    asked: Asked = ()
    act: tuple[str, ...] = ()
    then: Asked = ()
    back: Mapping[str, str] | None = None
    setup: str = ""
    journal: str = "wal"
    is_nothing: bool = False
    is_slow: bool = False

    def flags(self) -> dict[str, Any]:
        return {
            "renames": self.renames,
            "drop_columns": self.drop_columns,
            "drop_tables": self.drop_tables,
            "allow_data_loss": self.allow_data_loss,
        }


def pair(name: str, old: str, new: str, rows: str, **rest: Any) -> Case:
    """Give a case of one table t whose columns and rules are `old`, then `new`."""
    insert = f"INSERT INTO t VALUES {rows};" if rows else ""
    return Case(name, f"CREATE TABLE t {old};{insert}", f"CREATE TABLE t {new};", **rest)


def make(case: Case, path: Path, *, connect: Connect = plain_connect) -> None:
    """Make the database of a case in a new file."""
    connection = connect(str(path))
    try:
        if case.setup:
            for statement in case.setup.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA journal_mode = {case.journal}").fetchone()
        _run(connection, case.before)
        for statement, values in case.fill:
            connection.execute(statement, values)
    finally:
        connection.close()


def _run(connection: Any, script: str) -> None:
    connection.execute("BEGIN")
    for statement in statements(script):
        connection.execute(statement)
    connection.execute("COMMIT")


def judge(case: Case, folder: Path, *, connect: Connect = plain_connect, run: Run = run_migrate) -> list[str]:
    """Run a case in an empty folder and say what is wrong with the outcome; empty: all is right.

    `connect` opens the file to look at it, `run` migrates it.
    """
    path, before = folder / "case.db", folder / "before.db"
    make(case, path, connect=connect)
    shutil.copyfile(path, before)
    bytes_before = path.read_bytes()
    outcome = run(path, case.after, **case.flags())
    if case.refused is not None:
        return _judge_refusal(case, outcome, before, path, connect)
    if outcome.code != 0:
        return [f"ended with {outcome.code}: {brief(outcome.said)}"]
    told: list[str] = []
    if case.is_nothing:
        told += [] if outcome.nothing_to_do else ["something was done"]
        told += [] if case.journal != "wal" or path.read_bytes() == bytes_before else ["the bytes changed"]
    told += _judge_result(case, before, path, connect)
    again = run(path, case.after)
    if not again.nothing_to_do:
        told.append(f"a second time it is not nothing to do: {again.steps} {brief(again.said)}")
    if case.back is not None and not told:
        told += [f"on the way back: {line}" for line in _judge_way_back(case, before, path, connect, run)]
    return told


def _judge_refusal(case: Case, outcome: Outcome, before: Path, path: Path, connect: Connect) -> list[str]:
    told: list[str] = []
    if outcome.code != 5:
        told.append(f"ended with {outcome.code} instead of a refusal: {brief(outcome.said)}")
    told += [
        f"the refusal does not name {word!r}: {outcome.said[:600]}"
        for word in case.refused or ()
        if not _is_named(word, outcome)
    ]
    changed = differing(whole(str(before), connect=connect), whole(str(path), connect=connect))
    return told + [f"a refusal changed {line}" for line in changed]


def _is_named(word: str, outcome: Outcome) -> bool:
    """Say whether a refusal names a table, an object or a value: in its findings, where it has any."""
    for finding in outcome.findings:
        rows_named: Any = finding.get("rows") or ()
        values = [part for row in rows_named for pair in dict(row).items() for part in pair]
        if word in map(str, (finding.get("table"), finding.get("object"), *values)):
            return True
    # a letter by itself may be an article
    text = outcome.error if not outcome.findings else outcome.said
    return (len(word) > 1 or not outcome.findings) and bool(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
    )


def _judge_result(case: Case, before: Path, path: Path, connect: Connect) -> list[str]:
    try:
        copy: Copy = naive_copy(str(before), case.after, renames=case.renames, connect=connect)
    except CannotHold as exc:
        return [f"the case is wrong: {exc}"]
    try:
        told = problems(str(path), copy, connect=connect)
    finally:
        copy.connection.close()
    told += kept_header(str(before), str(path), connect=connect)
    if "VIRTUAL" in case.before:
        told += touched_indexes(str(before), str(path), connect=connect)
    told += _judge_answers(case, path, connect)
    return told


def _judge_answers(case: Case, path: Path, connect: Connect) -> list[str]:
    connection = connect(str(path))
    try:
        told = _wrong_answers(connection, case.asked)
        if case.act:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN")
            for statement in case.act:
                connection.execute(statement)
            told += _wrong_answers(connection, case.then)
            connection.execute("ROLLBACK")
        return told
    finally:
        connection.close()


def _wrong_answers(connection: Any, asked: Asked) -> list[str]:
    told: list[str] = []
    for sql, wanted in asked:
        found = rows(connection, sql)
        if found != wanted:
            told.append(f"{sql} gives {brief(found)}, not {brief(wanted)}")
    return told


def _judge_way_back(case: Case, before: Path, path: Path, connect: Connect, run: Run) -> list[str]:
    """Bring the file back to the schema that it had: every row must be as it was."""
    between = path.with_name("between.db")
    shutil.copyfile(path, between)
    outcome = run(path, case.before, renames=case.back, allow_data_loss=True)
    if outcome.code != 0:
        return [f"ended with {outcome.code}: {brief(outcome.said)}"]
    copy = naive_copy(str(between), case.before, renames=case.back or {}, connect=connect)
    try:
        told = problems(str(path), copy, connect=connect)
    finally:
        copy.connection.close()
    first, last = (whole(str(one), connect=connect) for one in (before, path))
    kept = {part: value for part, value in first.items() if part.startswith("rows of")}
    return told + [line for line in differing(kept, last) if line.split(":")[0] in kept]
