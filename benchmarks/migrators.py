"""The project's own table of rebuilds, done by other tools that change SQLite tables.

The cases and the oracle are those of the tests (tests/support), so the contest is on our ground: for how many
of the cases a tool has words says little, what becomes of a database under those it takes on says more.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, Row, Settings, Table
from benchmarks.peers.migrators import CannotExpress, Change, changes_of, read_wish, versions
from datalayer.errors import MigrationRefused
from datalayer.schema.snapshot import ForeignKey, Schema, read
from datalayer.schema.tokens import canonical, fold, tokenize

__all__ = ["run"]

TESTS = Path(__file__).parents[1] / "tests"
OURS = "datalayer"
OUTCOMES = (
    "passed",
    "in other form",
    "refused",
    "failed half-way",
    "damage with a warning",
    "silent damage",
    "no words",
)
# what an oracle's line begins with, most serious first; what a table's text says counts by what it does
CAUSES = {
    "rows or values": ("rows", "soundness", "answers"),
    "values turned by a type": ("turned",),
    "a broken rule accepted": ("accepted",),
    "triggers, views, indexes, rules": ("texts", "behaviour", "views", "bytecode"),
    "numbering": ("numbering",),
}
_MINOR = ("shapes", "statistics", "form")


@dataclass(slots=True)
class Tally:
    """What became of the cases under one tool."""

    outcomes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def add(self, name: str, outcome: str, told: list[str]) -> None:
        self.outcomes[outcome] += 1
        if outcome == "silent damage":
            self.causes[_cause(told)] += 1
        first = told[0].splitlines()[0] if told else ""
        self.lines.append(f"{outcome}\t{name}\t{first}")


def run(settings: Settings) -> Report:
    """Let each tool that is installed do each case, in files of its own."""
    support = _support()
    cases = [case for case in support["cases"].values() if not (case.is_slow and settings.is_quick)]
    if settings.scale < 0.1:
        cases = cases[:: len(cases) // 8]
    elif settings.is_quick:
        cases = cases[::10]
    changes, left_out = changes_of()
    tallies = {name: Tally() for name in (OURS, *changes)}
    asked = 0
    for number, case in enumerate(cases):
        place = settings.folder / str(number)
        if _try_case(support, case, place, changes, tallies):
            asked += 1
        shutil.rmtree(place, ignore_errors=True)
    _write_details(tallies)
    notes = [f"{name} {version}" for name, version in versions(changes).items()] + left_out
    return Report("migrators", [_outcomes(tallies, f"{asked} of {len(cases)}", notes), _causes(tallies)])


def _support() -> dict[str, Any]:
    """Give the cases and the oracle, which belong to the tests."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    names = ("rebuild_case", "rebuild_cases", "naive_copy", "oracle", "rebuilding", "live_schema")
    found: dict[str, Any] = {name: importlib.import_module(f"support.{name}") for name in names}
    found["cases"] = found["rebuild_cases"].all_cases()
    return found


def _try_case(
    support: Mapping[str, Any],
    case: Any,
    place: Path,
    changes: Mapping[str, Change],
    tallies: Mapping[str, Tally],
) -> bool:
    """Judge all tools on one case; False where it asks what only a tool with a whole schema can be asked."""
    place.mkdir(parents=True)
    before = place / "before.db"
    support["rebuild_case"].make(case, before)
    try:
        wish = read_wish(before, case.after, case.renames)
    except (MigrationRefused, sqlite3.Error):
        return False
    except CannotExpress:
        wish = None
    if wish is not None and wish.is_empty:
        return False
    path = _copy(before, place / "ours.db")
    ours = support["rebuilding"].run_migrate(path, case.after, **case.flags())
    if case.refused is not None and all(one.get("id") == "data-loss" for one in ours.findings):
        # that nobody said a column may go: other tools are told so by being called
        return False
    error = None if ours.code == 0 else ours.error
    judge = partial(_judge, support, case, before, is_about_types=_is_about_types(ours.findings))
    tallies[OURS].add(case.name, *judge(path, error))
    for name, change in changes.items():
        path = _copy(before, place / f"{name.split('.')[0].replace(' ', '_')}.db")
        try:
            if wish is None:
                raise CannotExpress("a virtual table changes")
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                change(path, wish)
            error = None
        except CannotExpress as exc:
            tallies[name].add(case.name, "no words", [str(exc)])
            continue
        except Exception as exc:
            error = f"{type(exc).__name__}: {exc}"
        outcome, told = judge(path, error)
        # that a library's own code will change one day is no warning of damage
        if outcome == "silent damage" and any(one.category.__name__ == "SAWarning" for one in warned):
            outcome = "damage with a warning"
        tallies[name].add(case.name, outcome, told)
    return True


def _copy(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target


def _is_about_types(findings: Sequence[Mapping[str, object]]) -> bool:
    """Say whether all that is to be refused are values that a new type would turn into others."""
    return bool(findings) and all(one.get("id") == "changed-value" for one in findings)


def _judge(
    support: Mapping[str, Any],
    case: Any,
    before: Path,
    path: Path,
    error: str | None,
    *,
    is_about_types: bool,
) -> tuple[str, list[str]]:
    """Give the outcome, and what is wrong."""
    if error is not None:
        whole = support["oracle"].whole
        changed = support["live_schema"].differing(whole(str(before)), whole(str(path)))
        if changed:
            return "failed half-way", [error, *changed]
        return ("refused" if case.refused is None else "passed"), [error]
    if case.refused is not None:
        return "silent damage", [f"{'turned' if is_about_types else 'accepted'}: {case.refused}"]
    told = [line for line in _problems(support, case, before, path) if not _is_wording(line)]
    if not told:
        return "passed", []
    if all(line.startswith(_MINOR) for line in told):
        return (
            "in other form" if any(line.startswith(("shapes", "form")) for line in told) else "passed"
        ), told
    return "silent damage", [line for line in told if not line.startswith(_MINOR)]


def _problems(support: Mapping[str, Any], case: Any, before: Path, path: Path) -> Iterator[str]:
    copy = support["naive_copy"].naive_copy(str(before), case.after, renames=case.renames)
    try:
        found = support["oracle"].problems(str(path), copy)
        minor: tuple[str, ...] = ()
        if _rules(path) == _rules(copy.connection):
            # other programs for the same rules: a reference that names the key it means, and the like
            minor = ("bytecode:",)
        if any(line.startswith("rows:") for line in found) and _same_by_name(support, path, copy.connection):
            minor = ("rows:", "behaviour:", *minor) if minor else ("rows:", "bytecode:")
        found = [f"form {line}" if line.startswith(minor) else line for line in found]
        yield from found
    finally:
        copy.connection.close()
    try:
        wrong = support["rebuild_case"]._judge_answers(case, path, support["live_schema"].plain_connect)
    except sqlite3.Error as exc:
        wrong = [str(exc)]
    yield from (f"{'statistics' if 'sqlite_stat' in line else 'answers'}: {line}" for line in wrong)


def _rules(database: Path | sqlite3.Connection) -> object:
    """Give what a schema demands of its rows, whatever its words."""
    if isinstance(database, Path):
        with closing(sqlite3.connect(database)) as connection:
            return _rules(connection)
    schema = read(database)
    names = schema.names
    return sorted(
        (
            fold(table.name),
            *(table.is_strict, table.is_without_rowid, table.rowid_column is None),
            sorted(canonical(tokenize(check.expression), names) for check in table.checks),
            sorted(
                (
                    fold(one.name),
                    one.is_not_null,
                    one.key_position,
                    fold(one.collation or ""),
                    (one.default or "").strip("'"),
                )
                for one in table.columns
            ),
            sorted(repr(unique.terms).lower() for unique in table.uniques),
            sorted(_reference(schema, key) for key in table.foreign_keys),
        )
        for table in schema.tables
        if table.kind == "table"
    )


def _reference(schema: Schema, key: ForeignKey) -> tuple[object, ...]:
    parent = schema.table(key.parent)
    keys = sorted(parent.columns, key=lambda one: one.key_position) if parent else []
    columns = key.parent_columns or tuple(column.name for column in keys if column.key_position)
    said = (*key.columns, "to", key.parent, *columns)
    return (*map(fold, said), key.on_delete, key.on_update, key.is_deferrable, key.is_deferred)


def _same_by_name(support: Mapping[str, Any], path: Path, wanted: Any) -> bool:
    """Say whether all values are there but columns stand in another order, or rows have other rowids."""
    live = support["live_schema"]
    found = live.plain_connect(str(path))
    try:
        mine, tables = live.live_tables(found), live.live_tables(wanted)
        for name, table in tables.items():
            if table.kind != "table":
                continue
            if name not in mine or mine[name].folded != table.folded:
                return False
            columns = sorted(table.folded)
            left, right = (
                sorted(live.cells(one, of, columns, with_rowid=False), key=repr)
                for one, of in ((found, mine[name]), (wanted, table))
            )
            if left != right:
                return False
        return True
    finally:
        found.close()


def _is_wording(line: str) -> bool:
    """Say whether only the words of a table's text are others: a tool may write them anew."""
    return line.startswith("texts: ('table'") and " says " in line


def _cause(told: list[str]) -> str:
    return next(cause for cause, checks in CAUSES.items() if any(line.startswith(checks) for line in told))


def _outcomes(tallies: Mapping[str, Tally], asked: str, notes: list[str]) -> Table:
    rows = [
        Row(name, {outcome: tally.outcomes[outcome] for outcome in OUTCOMES})
        for name, tally in tallies.items()
    ]
    return Table(f"{asked} cases, on SQLite {sqlite3.sqlite_version}: how they ended", OUTCOMES, rows, notes)


def _causes(tallies: Mapping[str, Tally]) -> Table:
    rows = [Row(name, {cause: tally.causes[cause] for cause in CAUSES}) for name, tally in tallies.items()]
    return Table("Silent damage: what was lost, the gravest of a case", list(CAUSES), rows)


def _write_details(tallies: Mapping[str, Tally]) -> None:
    """Tell each case and outcome where DATALAYER_BENCH_DETAILS names a folder."""
    folder = os.environ.get("DATALAYER_BENCH_DETAILS")
    for name, tally in tallies.items() if folder else ():
        path = Path(str(folder)) / f"{name.replace(' ', '_')}.tsv"
        path.write_text("\n".join(tally.lines) + "\n", encoding="utf-8")
