"""How much of a damaged database a program brings back, held against what its bytes still tell.

In place: a row is in its table with its rowid or key and every value. False: a row in a table that the newest
committed state does not have - resurrected (deleted before), stale (an older version), altered (a damaged row
with other values) or invented. Rows that a program makes for lost parents, so that their children can stay,
and names in lost_and_found as placeholders are counted apart.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from support.corruption import Damage, all_kinds
from support.corruption_bases import Base, make_base
from support.corruption_truth import Spec, read_rows, text_of

__all__ = ["Recover", "Refused", "Score", "Sum", "digest", "score"]

Named = tuple[str, Any]
Recover = Callable[[Path, Path, Base], object]
"""Brings what is at the first path into a new database at the second."""


class Refused(Exception):
    """A program says that it can do nothing with a file, which is right when nothing is in it."""


@dataclass(slots=True)
class Score:
    """What came of one damaged database.

    `mended` rows are right although bytes of them are gone; `aside` rows are left, and not in place but whole
    in a table lost_and_found.
    """

    kind: str
    family: str
    base: str
    seed: int
    recoverable: int = 0
    in_place: int = 0
    mended: int = 0
    aside: int = 0
    covered: int = 0
    rebuilt: int = 0
    returned: int = 0
    placeholders: int = 0
    false: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    is_untouched: bool = True
    outcome: str = "recovered"
    error: str = ""
    seconds: float = 0.0
    missing: Counter[str] = field(default_factory=Counter[str])

    @property
    def is_scored(self) -> bool:
        """Whether anything is there to be brought back."""
        return self.recoverable > 0

    @property
    def is_healthy(self) -> bool:
        return not self.faults and self.outcome == ("recovered" if self.is_scored else self.outcome)

    @property
    def share(self) -> float:
        return self.in_place / self.recoverable if self.recoverable else 1.0


@dataclass(frozen=True, slots=True)
class Sum:
    """Scores of many damaged databases together."""

    scores: tuple[Score, ...]

    @classmethod
    def of(cls, scores: Iterable[Score]) -> Sum:
        return cls(tuple(scores))

    def _total(self, name: str) -> int:
        return sum(getattr(score, name) for score in self.scores if score.is_scored)

    @property
    def in_place(self) -> float:
        return self._total("in_place") / max(1, self._total("recoverable"))

    @property
    def mean_in_place(self) -> float:
        """The mean of the kinds' shares: each counts the same, however many rows its base has."""
        shares = [score.share for score in self.scores if score.is_scored]
        return sum(shares) / max(1, len(shares))

    @property
    def rebuilt(self) -> float | None:
        covered = self._total("covered")
        return self._total("rebuilt") / covered if covered else None

    @property
    def false_rows(self) -> int:
        return sum(score.false.total() for score in self.scores)

    @property
    def false_share(self) -> float:
        return self.false_rows / max(1, self._total("returned"))

    @property
    def unhealthy(self) -> list[Score]:
        return [score for score in self.scores if not score.is_healthy]

    @property
    def touched(self) -> list[Score]:
        return [score for score in self.scores if not score.is_untouched]


def score(damage: Damage, kind: str, seed: int, recover: Recover) -> Score:
    """Let a program bring back a damaged database, and count what it brought."""
    found = Score(kind, all_kinds()[kind].family, damage.base.name, seed)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        path, target = damage.write(source), Path(folder) / "target.db"
        before = digest(source)
        begun = _spent()
        try:
            recover(path, target, damage.base)
        except Refused as exc:
            found.outcome, found.error = "refused", str(exc)
        except Exception as exc:
            found.outcome, found.error = "crashed", f"{type(exc).__name__}: {exc}"
        found.seconds = _spent() - begun
        found.is_untouched = digest(source) == before
        _compare(damage, target, found)
    return found


def _spent() -> float:
    """CPU seconds of this process and of those it waited for."""
    return sum(os.times()[:4])


def digest(folder: Path) -> dict[str, str]:
    """Give the hash of every file of a folder."""
    return {
        place.name: hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else "folder"
        for place in folder.iterdir()
    }


def _compare(damage: Damage, target: Path, found: Score) -> None:
    specs = {spec.name: spec for spec in (*damage.base.truth.specs, *damage.truth.specs)}
    returned: dict[str, dict[Any, tuple[Any, ...]]] = {}
    aside: set[tuple[Any, ...]] = set()
    marked: set[tuple[Any, ...]] = set()
    if target.exists() and found.outcome == "recovered":
        with closing(sqlite3.connect(target, isolation_level=None)) as connection:
            connection.text_factory = text_of
            returned = {name: read_rows(connection, spec) for name, spec in specs.items()}
            aside, marked = _set_aside(connection), _set_aside(connection, _MARK)
            found.faults = faults_of(connection, damage.base)
    left, covered, hanging = _what_is_left(damage)
    free = damage.excused | hanging
    for name, spec in specs.items():
        given, rows = returned.get(name, {}), damage.truth.tables.get(name, {})
        found.returned += len(given)
        for key, row in rows.items():
            if (name, key) in free:
                continue
            is_exact = given.get(key) == row.values
            _count(found, name, is_exact, (name, key) in left, (name, key) in covered)
            if aside and not is_exact and (name, key) in left:
                found.aside += not aside.isdisjoint(_as_set_aside(spec, row.values))
        for key, values in given.items():
            if (name, key) in free or (key in rows and rows[key].values == values):
                continue
            if (name, key) not in left and not marked.isdisjoint(_as_set_aside(spec, values)):
                found.placeholders += 1
            else:
                found.false[_cause(key in rows, (name, key, values) in damage.past)] += 1


_MARK = "reason = 'placeholder for a lost row'"


def _set_aside(connection: sqlite3.Connection, where: str = "true") -> set[tuple[Any, ...]]:
    """Give the values of rows in tables lost_and_found, whose columns c0, c1, ... hold them."""
    tables = (
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'lost~_and~_found%' ESCAPE '~'"
    )
    found: set[tuple[Any, ...]] = set()
    with suppress(sqlite3.DatabaseError):
        for (table,) in connection.execute(tables).fetchall():
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            named = ", ".join(column for column in columns if column[:1] == "c" and column[1:].isdigit())
            if named:
                found.update(
                    map(_trimmed, connection.execute(f'SELECT {named} FROM "{table}" WHERE {where}'))
                )
    return found


def _as_set_aside(spec: Spec, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Give a row as it may stand there: with its rowid among the values or without, in the record's order."""
    held = dict(zip(spec.columns, values))
    stored = tuple(None if column is None else held[column] for column in spec.record)
    return [_trimmed(values), _trimmed(stored)]


def _trimmed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    stop = len(values)
    while stop and values[stop - 1] is None:
        stop -= 1
    return values[:stop]


def _count(found: Score, name: str, is_exact: bool, is_left: bool, is_covered: bool) -> None:
    if is_left:
        found.recoverable += 1
        found.in_place += is_exact
        found.missing[name] += not is_exact
    elif is_covered:
        found.covered += 1
        found.rebuilt += is_exact
    else:
        found.mended += is_exact


def _cause(is_known: bool, was: bool) -> str:
    if is_known:
        return "stale" if was else "altered"
    return "resurrected" if was else "invented"


def _what_is_left(damage: Damage) -> tuple[set[Named], set[Named], set[Named]]:
    """Give the rows whose bytes are left, those that only an index still has, and those without a parent.

    A row whose parent is gone, or was made wrong, has no place in a database whose references hold.
    """
    survives = damage.surviving()
    left = {(name, key) for name, key, row in damage.rows() if survives(row.pieces)}
    covered = {
        (name, key)
        for name, key, row in damage.rows()
        if (name, key) not in left and any(map(survives, row.entries))
    }
    standing = (left | covered) - damage.excused
    hanging: set[Named] = set()
    while found := set(_orphaned(damage, standing)):
        hanging |= found
        standing -= found
    return left - hanging, covered - hanging, hanging


def _orphaned(damage: Damage, standing: set[Named]) -> Iterator[Named]:
    specs = {spec.name: spec for spec in damage.truth.specs}
    for spec in damage.truth.specs:
        for parent, pairs in spec.references:
            theirs = [specs[parent].columns.index(column) for _, column in pairs]
            own = [spec.columns.index(column) for column, _ in pairs]
            known = {
                tuple(row.values[place] for place in theirs)
                for key, row in damage.truth.tables[parent].items()
                if (parent, key) in standing
            }
            for key, row in damage.truth.tables[spec.name].items():
                value = tuple(row.values[place] for place in own)
                if (spec.name, key) in standing and None not in value and value not in known:
                    yield spec.name, key


def faults_of(connection: sqlite3.Connection, base: Base) -> list[str]:
    """Say what is wrong with a recovered database: integrity, references, objects, numbers, word index."""
    faults: list[str] = []
    try:
        for statement in ("PRAGMA integrity_check(20)", "PRAGMA integrity_check(sqlite_schema)"):
            faults += [str(row[0]) for row in connection.execute(statement) if row[0] != "ok"]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        faults += [f"{len(orphans)} orphans, such as {orphans[0]}"] if orphans else []
        names = {row[0] for row in connection.execute(_OBJECTS)}
        faults += [f"{name} is missing" for name in sorted(_expected_objects(base.name) - names)]
        if "document" in names:
            connection.execute("INSERT INTO document (document, rank) VALUES ('integrity-check', 1)")
        for table, number in connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            most = connection.execute(f'SELECT max(rowid) FROM "{table}"').fetchone()[0]
            faults += [f"the sequence of {table} is behind"] if (most or 0) > number else []
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        faults += [f"user_version is {version}"] if version != _user_version(base.name) else []
    except sqlite3.DatabaseError as exc:
        if "no such table: sqlite_sequence" not in str(exc):
            faults.append(str(exc))
    return faults


_OBJECTS = (
    "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'document~_%' ESCAPE '~' AND name <> 'sqlite_stat1'"
)


@cache
def _expected_objects(base: str) -> frozenset[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(make_base(base).schema_sql)
        return frozenset(row[0] for row in connection.execute(_OBJECTS))


@cache
def _user_version(base: str) -> int:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(make_base(base).schema_sql)
        return connection.execute("PRAGMA user_version").fetchone()[0]
