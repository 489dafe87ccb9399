"""What the page reader must hold to whatever the bytes are, asked of one input.

It ends within a time and a memory; raises DatabaseCorrupt or nothing; leaves the files alone; gives rows with
the columns of their table, none twice; where SQLite has no complaint of the file, exactly the rows that it
gives, or says that something is wrong; and what is written of them passes SQLite's own check.
"""

from __future__ import annotations

import hashlib
import resource
import signal
import sqlite3
import traceback
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from support.salvage_case import Rows, false_rows, missing, truth

from datalayer.errors import DatabaseCorrupt
from datalayer.schema.check.outline import outline
from datalayer.schema.salvage.findings import inspect
from datalayer.schema.salvage.outcome import BadText, LostRow, SalvagedTable, Written
from datalayer.schema.salvage.recover import salvage
from datalayer.schema.salvage.writer import write
from datalayer.schema.snapshot import Schema
from fuzz.recipe import Input
from fuzz.seeds import seed_truth, write_files

__all__ = ["CPU_S", "MEMORY_BYTES", "Finding", "Verdict", "judge"]

CPU_S = 10.0
MEMORY_BYTES = 512 << 20
FILE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken: `key` is the same for inputs that break it in the same place."""

    kind: str
    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an input: "refused", "written" or "failed"; `marks` tell inputs apart that are new."""

    outcome: str
    findings: tuple[Finding, ...]
    marks: frozenset[str]


class TooSlow(BaseException):
    """Raised where an input has used up its time; no handler of the reader's may take it for its own."""


def judge(given: Input, folder: Path, *, cpu_s: float = CPU_S) -> Verdict:
    """Salvage an input in a folder, and write what was found."""
    for old in folder.iterdir():
        old.unlink()
    trial = _Trial(given, folder)
    write_files(given.files, trial.path)
    before = _digests(folder)
    try:
        with _limits(cpu_s):
            trial.run()
    except TooSlow as exc:
        trial.fault("hang", exc)
    except MemoryError as exc:
        trial.fault("memory", exc)
    except Exception as exc:
        trial.fault("crash", exc)
    found = _digests(folder)
    if found != before:
        changed = sorted(name for name in {*found, *before} if found.get(name) != before.get(name))
        trial.breach("input-changed", f"{changed} are not what they were")
    outcome = "failed" if trial.findings else "refused" if trial.is_refused else "written"
    return Verdict(outcome, tuple(trial.findings), frozenset(trial.marks))


def _expected(given: Input) -> Schema | None:
    return seed_truth(given.seed)[0] if given.expected and given.seed != "lying-512" else None


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("input*")}


class _Trial:
    """One salvage, step by step."""

    def __init__(self, given: Input, folder: Path) -> None:
        self.seed = given.seed
        self.files = given.files
        self.path = folder / "input.sqlite"
        self.target = folder / "output.sqlite"
        self.expected = _expected(given)
        self.is_inspected = given.is_inspected
        self.is_comparable = given.is_comparable
        self.findings: list[Finding] = []
        self.marks: set[str] = set()
        self.aside: set[tuple[str, tuple[object, ...]]] = set()
        self.is_refused = False

    def run(self) -> None:
        for found in (outline(self.path).findings, inspect(self.path, quick=True)):
            self.marks |= {finding.id for finding in found}
        if self.is_inspected:
            self.marks |= {f"all {finding.id}" for finding in inspect(self.path, self.expected)}
        try:
            salvaged = salvage(self.path, self.expected)
        except DatabaseCorrupt:
            self.is_refused = True
            return
        with salvaged:
            self.marks |= {salvaged.reading, salvaged.schema_source, *(one.kind for one in salvaged.problems)}
            rows = {name: self._look(table) for name, table in salvaged.tables.items()}
            if self.is_comparable:
                self._compare(rows)
            for lost in salvaged.unplaced():
                self.marks.add(lost.reason)
            written = write(salvaged, self.target, self.expected)
        self._check(written, rows)

    def _look(self, table: SalvagedTable) -> Rows:
        lost: list[LostRow] = []
        columns = len(table.columns)
        rows: Rows = {}
        for row in table.rows(lost.append):
            if len(row.values) != columns:
                self.breach("column-count", f"{len(row.values)} values for {columns} columns")
            if (row.rowid is None) != table.table.is_without_rowid:
                self.breach(
                    "rowid", f"rowid {row.rowid} where WITHOUT ROWID is {table.table.is_without_rowid}"
                )
            key = tuple(row.values) if row.rowid is None else (row.rowid,)
            if key in rows:
                self.breach("row-twice", "one rowid or key was given twice")
            rows[key] = tuple(row.values)
            if any(isinstance(value, BadText) for value in row.values):
                self.aside.add((table.table.name, key))
        self.aside |= {(table.table.name, (one.rowid,)) for one in lost}
        self.marks |= {one.reason.split(":")[0] for one in lost}
        self.marks.add(f"complete {table.complete}, adopted {table.adopted_pages > 0}")
        return rows

    def _compare(self, found: dict[str, Rows]) -> None:
        """Compare with the rows that SQLite gives of a copy, where it has no complaint of that."""
        copy = self.target.with_name("copy.sqlite")
        write_files(self.files, copy)
        try:
            with closing(sqlite3.connect(copy)) as connection:
                said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            wanted = truth(copy) if said == "ok" else {}
        except Exception:
            # of a schema with odd bytes in it SQLite's rows are not to be had in this way
            return
        if wanted:
            self.marks.add("SQLite has no complaint")
        # what goes to lost_and_found with its reason is neither missing nor false
        wanted = {name: self._in_place(name, rows) for name, rows in wanted.items()}
        found = {name: self._in_place(name, rows) for name, rows in found.items()}
        names = [name for name, rows in wanted.items() if _differ(rows, found.get(name, {}))]
        # of what is damaged the reader may take less or, from a log, more; that a journal is hot is no damage
        if not names or any(finding.id != "DL-C123" for finding in inspect(self.path)):
            return
        for name in names:
            one, other = {name: wanted[name]}, {name: found.get(name, {})}
            if missing(one, other):
                self.breach("row-missing", f"{missing(one, other)} of {len(wanted[name])} rows of {name}")
            if false_rows(one, other):
                self.breach("row-invented", f"{false_rows(one, other)} rows of {name} are not in it")

    def _in_place(self, name: str, rows: Rows) -> Rows:
        return {key: row for key, row in rows.items() if (name, key) not in self.aside}

    def _check(self, written: Written, found: dict[str, Rows]) -> None:
        with closing(sqlite3.connect(f"file:{self.target}?mode=ro", uri=True)) as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            shadows = {
                str(row[1]) for row in connection.execute("PRAGMA main.table_list") if row[2] == "shadow"
            }
        if said != ["ok"]:
            self.breach("unsound-output", "; ".join(_plain(said)))
        for name, counts in written.tables.items():
            # what a virtual table keeps in tables of its own it makes anew
            if name not in shadows and counts.kept + counts.moved + counts.given_up < len(
                found.get(name, ())
            ):
                self.breach("row-dropped", f"of {len(found[name])} rows of {name} {counts} were written")
        for fault in _plain(written.faults):
            self.marks.add(f"fault: {fault[:24]}")
        self.marks |= {f"moved: {reason.split(':')[0]}" for reason in written.reasons}
        if written.cleared:
            self.marks.add("references became NULL")
        if written.placeholders:
            self.marks.add("placeholders")

    def breach(self, kind: str, message: str) -> None:
        if all(finding.kind != kind for finding in self.findings):
            where = message[:40] if kind == "unsound-output" else self.seed
            self.findings.append(Finding(kind, f"{kind}: {where}", message))

    def fault(self, kind: str, exc: BaseException) -> None:
        place = _place(exc.__traceback__)
        # where a hang or a lack of memory is noticed is chance within the loop that has it
        key = f"{kind}: {type(exc).__name__} in {place}"
        last = traceback.format_exception_only(exc)[-1].strip()
        cause = exc.__cause__
        self.findings.append(Finding(kind, key, f"{last} [{cause!r}]" if cause else last))


def _differ(one: Rows, other: Rows) -> bool:
    return bool(missing({"": one}, {"": other}) or false_rows({"": one}, {"": other}))


def _plain(texts: Iterable[str]) -> list[str]:
    """Leave out what differs between inputs of one fault."""
    return ["".join(char for char in text if not char.isdigit()) for text in texts]


def _place(trace: TracebackType | None) -> str:
    """Give the innermost function of ours that an exception came through."""
    place = "?"
    for frame in traceback.extract_tb(trace):
        if "datalayer" in frame.filename:
            place = f"{Path(frame.filename).name}:{frame.name}: {frame.line}"
    return place


@contextmanager
def _limits(cpu_s: float) -> Generator[None]:
    """Bound the time that this process computes, the memory that it takes more, and what it writes."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {cpu_s} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGVTALRM, stop)
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, largest[1]))
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        resource.setrlimit(resource.RLIMIT_FSIZE, largest)
        signal.signal(signal.SIGVTALRM, handler)
