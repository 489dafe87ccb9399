"""Repair of a SQLite file: looked at, planned, its bytes kept, cured in place or salvaged and exchanged.

Logical damage is cured in place in one transaction. Damaged pages are read into a new file, which is cured,
proved and put in the place of the old one. Either way a crash leaves the original or the repaired database.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from datalayer.engine.durable import sync_folder
from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable, DataLayerError, MigrationRefused
from datalayer.schema.check import check_file
from datalayer.schema.finding import Finding
from datalayer.schema.repair.evidence import (
    Evidence,
    beside,
    disk_errors,
    keep,
    newest,
    sync_file,
    tell,
)
from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.repair.hold import Hold, hold, openers
from datalayer.schema.repair.look import View, copied, damage_of, has_log, opens, refuse_empty, view
from datalayer.schema.repair.report import RepairPlan, RepairReport, Step, TableOutcome, sum_up
from datalayer.schema.repair.swap import clear_leftovers, put_back, put_in_place, staged
from datalayer.schema.repair.treatment import PagesDamaged, Treatment, open_for_treatment, row_counts
from datalayer.schema.repair.virtual import mend_text_tables
from datalayer.schema.salvage.outcome import Written
from datalayer.schema.salvage.recover import salvage
from datalayer.schema.salvage.survey import Progress
from datalayer.schema.salvage.writer import write

__all__ = ["Undone", "plan_repair", "repair", "undo"]

_NOTHING = Expectation()
_WAIT_S = 5.0
# of the disk, the folder and other programs: nothing that a repair of the file could cure
_SURROUNDINGS = ("DL-C075", "DL-C076", "DL-C077", "DL-C078", "DL-C081")


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: `restored` is the folder that was put back, `kept` the one with what was replaced."""

    restored: Path
    kept: Path | None


def plan_repair(
    path: str | os.PathLike[str], expectation: Expectation = _NOTHING, *, progress: Progress | None = None
) -> RepairPlan:
    """Say what a repair would do, by doing it on a private copy; the files are not written to.

    Nobody can write to the database meanwhile. Cost: that of the repair, and room for the copy beside it.

    Raises DatabaseUnavailable (missing, no permission, no room), DatabaseBusy (another process writes),
    DatabaseCorrupt (nothing of a database is in it).
    """
    file = Path(path).resolve()
    with hold(file, is_writing=False):
        state = _look(file, expectation)
        if state.is_sound:
            return RepairPlan(str(file), "nothing", left=state.left)
        return _rehearse(file, expectation, state, progress)


def repair(
    path: str | os.PathLike[str],
    expectation: Expectation = _NOTHING,
    *,
    output: str | os.PathLike[str] | None = None,
    yes: bool = False,
    progress: Progress | None = None,
) -> RepairReport:
    """Put a SQLite file right, by the least invasive cure that leads to a clean check.

    Every original byte is copied first, with a manifest, into a folder beside the file, which `undo` puts
    back. `output` writes the repaired database there instead and leaves the original alone. `yes` allows a
    plan in which values leave their place (they are in the table lost_and_found then); `output` needs no
    word. `progress` is called with (done, total) pages of a salvage. Repairing the result finds nothing to
    do.

    Atomic: a process killed at any instant leaves the original or the repaired database.

    Raises MigrationRefused for a lossy plan without the word (`findings` are its steps), DatabaseBusy where
    another process is at the file, DatabaseUnavailable (no room, no permission), DatabaseCorrupt where
    nothing can be salvaged. The original is as it was then.

        repair("app.db", yes=True).lines()
    """
    started = monotonic()
    file = Path(path).resolve()
    if output is not None:
        done = _repair_into(file, Path(output).absolute(), expectation, progress)
    else:
        done = _repair_here(file, expectation, yes=yes, progress=progress)
    done = replace(done, seconds=monotonic() - started)
    if done.evidence is not None:
        tell(done.evidence, done.as_object())
    return done


def undo(path: str | os.PathLike[str]) -> Undone:
    """Put back, byte for byte, the files that the last repair found; what replaced them is kept too.

    The folder's manifest is verified first. Atomic as `repair` is. Raises NotFound where no repair left
    anything, DatabaseCorrupt where the folder was changed, DatabaseBusy where others have the file open.
    """
    file = Path(path).resolve()
    evidence = newest(file)
    evidence.verify()
    if not file.exists():
        with disk_errors(file):
            shutil.copy2(evidence.main, file)
            sync_file(file)
        return Undone(evidence.folder, None)
    with hold(file, is_writing=True) as held:
        _refuse_unless_alone(held)
        kept = keep(file, word="undo")
        clear_leftovers(file)
        if has_log(file):
            _write_log_back(kept, file)
        put_back(evidence, file)
        held.invalidate()
    return Undone(evidence.folder, kept.folder)


# -- looking ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """What was found: damage of pages, else whether anything is to be cured; what is said to the user."""

    damage: tuple[str, ...]
    is_sound: bool
    is_interrupted: bool
    left: tuple[Finding, ...] = ()

    @property
    def first_steps(self) -> list[Step]:
        if not self.is_interrupted or self.damage:
            return []
        reason = "a transaction was interrupted and its journal is still there"
        return [Step("recover-log", None, "-journal", 1, reason, "it is rolled back, as SQLite does")]


def _look(file: Path, expectation: Expectation) -> _State:
    """Look at the files through a view that nothing is written through."""
    refuse_empty(file)
    is_interrupted = _is_hot(file)
    damage = damage_of(file)
    if damage:
        return _State(tuple(damage), False, is_interrupted)
    with view(file) as seen:
        why = opens(seen.uri)
        if why is not None:
            return _State((why,), False, is_interrupted)
        with closing(open_for_treatment(seen.uri)) as connection:
            try:
                treatment, left = _treatment(connection, expectation)
                is_sound = treatment.finds_nothing()
                if is_sound:
                    treatment.tell(expectation.told)
            except PagesDamaged as exc:
                return _State(tuple(exc.damage), False, is_interrupted)
            except sqlite3.DatabaseError as exc:
                return _State((str(exc),), False, is_interrupted)
            except DatabaseCorrupt as exc:
                # a schema that SQLite goes on with and that does not say what is there
                return _State((exc.why or exc.what,), False, is_interrupted)
    is_sound = is_sound and not is_interrupted
    return _State((), is_sound, is_interrupted, (*left, *treatment.left))


def _is_hot(file: Path) -> bool:
    """Whether a journal is one that SQLite would roll back: the files are held, so nobody works on it."""
    journal = beside(file, "-journal")
    if not journal.exists() or journal.stat().st_size < 512:
        return False
    with journal.open("rb") as reader:
        return reader.read(1) != b"\0"


def _treatment(connection: sqlite3.Connection, expectation: Expectation) -> tuple[Treatment, list[Finding]]:
    wanted, left = expectation.for_database(connection)
    return Treatment(connection, wanted, expectation.rules), left


# -- curing ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Cured:
    """What a cure of one file did."""

    steps: list[Step]
    left: list[Finding]
    tables: dict[str, TableOutcome]


@contextmanager
def _translated(file: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise from_sqlite(exc, str(file)) from exc


def _cure(uri: str, expectation: Expectation, *, begun: Callable[[], None] | None = None) -> _Cured:
    """Cure a file in one transaction. Raises PagesDamaged, sqlite3.Error; it is as before then."""
    with closing(open_for_treatment(uri, timeout_s=_WAIT_S)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if begun is not None:
            begun()
        # first: what cannot be opened would stop every look at the schema
        made_anew = [*mend_text_tables(connection)]
        treatment, left = _treatment(connection, expectation)
        treatment.steps += made_anew
        treatment.run()
        cured = _Cured(
            treatment.steps,
            [*left, *treatment.left],
            sum_up(treatment.steps, row_counts(connection)),
        )
        connection.execute("COMMIT" if treatment.steps else "ROLLBACK")
    return cured


def _salvage(source: Path, target: Path, expectation: Expectation, progress: Progress | None) -> _Cured:
    """Read what can be read of damaged files into a new one, and cure that; a failure leaves no file."""
    try:
        with _translated(target):
            with salvage(source, expectation.schema, progress=progress) as found:
                # the cure that follows looks at pages and references anyway
                written = write(found, target, expectation.schema, verify=False)
                problems = [problem.message for problem in found.problems]
                is_header_lost = any(problem.kind.startswith("header") for problem in found.problems)
            try:
                meant = replace(expectation, is_header_lost=is_header_lost)
                cured = _cure(f"{target.as_uri()}?mode=rw", meant)
            except PagesDamaged as exc:
                raise DatabaseCorrupt(
                    f"what could be salvaged of {source} does not verify",
                    why="; ".join([*exc.damage, *written.faults][:3]),
                    hint="nothing was changed; restore a backup",
                ) from exc
    except BaseException:
        for ending in ("", "-journal", "-wal", "-shm"):
            beside(target, ending).unlink(missing_ok=True)
        raise
    return _with_written(cured, written, problems)


def _with_written(cured: _Cured, written: Written, problems: Sequence[str]) -> _Cured:
    """Add what the salvage itself moved and gave up."""
    told = "; ".join(list(dict.fromkeys(problems))[:3]) or "SQLite cannot read the file"
    choice = f"{written.kept} rows are read into a new file"
    if written.moved:
        choice += f", {written.moved} move to lost_and_found"
    steps = [Step("salvage", None, None, written.kept, told, choice, is_lossy=True)]
    for name, outcome in cured.tables.items():
        counts = written.tables.get(name)
        if counts is not None:
            cured.tables[name] = replace(
                outcome,
                kept=outcome.kept - counts.made,
                moved=outcome.moved + counts.moved,
                changed=outcome.changed + written.cleared.get(name, 0),
                given_up=counts.given_up,
                made=outcome.made + counts.made,
            )
    for reason, count in sorted(written.reasons.items()):
        steps.append(Step("move", None, None, count, reason, f"{count} rows move to lost_and_found", True))
    for name, count in sorted(written.cleared.items()):
        reason = f"{count} rows of {name} refer to rows that are lost"
        steps.append(Step("set-null", name, None, count, reason, "the references become NULL", True))
    steps += written.placeholders
    return _Cured([*steps, *cured.steps], cured.left, cured.tables)


def _rehearse(file: Path, expectation: Expectation, state: _State, progress: Progress | None) -> RepairPlan:
    """Do it on a private copy and tell what happened."""
    with copied(file) as copy:
        if not state.damage:
            try:
                with _translated(file):
                    cured = _cure(copy.uri, expectation)
                steps = (*state.first_steps, *cured.steps)
                way = "in-place" if steps else "nothing"
                return RepairPlan(str(file), way, steps, tuple(cured.left), cured.tables)
            except PagesDamaged:
                # a cure showed that the pages are worse than they seemed
                pass
        cured = _salvage(_fresh(file, copy), copy.path.with_name("salvaged"), expectation, progress)
    return RepairPlan(str(file), "salvage", tuple(cured.steps), tuple(cured.left), cured.tables)


def _fresh(file: Path, copy: View) -> Path:
    """Give the copy the bytes of the files once more: SQLite may have tidied up beside it."""
    for ending in ("", "-wal", "-journal"):
        source, target = beside(file, ending), beside(copy.path, ending)
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, target)
    return copy.path


# -- repairing -------------------------------------------------------------------------------------


def _repair_here(
    file: Path, expectation: Expectation, *, yes: bool, progress: Progress | None
) -> RepairReport:
    with hold(file, is_writing=True) as held:
        if held.is_alone:
            clear_leftovers(file)
        state = _look(file, expectation)
        if state.is_sound:
            return RepairReport(RepairPlan(str(file), "nothing", left=state.left), file, None, 0.0)
        if not yes:
            _refuse_lossy(_rehearse(file, expectation, state, progress))
        if state.damage:
            _refuse_unless_alone(held)
        kept = keep(file)
        if not state.damage:
            stamp = None if state.is_interrupted else _stamp(file)
            # SQLite takes its own locks now, and ours would be in its way
            held.close()
            try:
                return _cure_in_place(file, expectation, state, kept, stamp)
            except PagesDamaged as exc:
                state = replace(state, damage=tuple(exc.damage))
    with hold(file, is_writing=True) as held:
        _refuse_unless_alone(held)
        return _exchange(file, expectation, kept, held, progress)


def _cure_in_place(
    file: Path, expectation: Expectation, state: _State, kept: Evidence, stamp: object
) -> RepairReport:
    def refuse_if_changed() -> None:
        if stamp is not None and _stamp(file) != stamp:
            raise MigrationRefused(
                f"{file} was written to while its bytes were being kept",
                hint="end the programs that use it, then repair it; nothing was changed",
            )

    try:
        with _translated(file):
            cured = _cure(f"{file.as_uri()}?mode=rw", expectation, begun=refuse_if_changed)
    except (DataLayerError, PagesDamaged) as exc:
        if not isinstance(exc, PagesDamaged):
            shutil.rmtree(kept.folder, ignore_errors=True)
        raise
    steps = (*state.first_steps, *cured.steps)
    left = _what_is_left(file, expectation, cured.left)
    if not steps:
        shutil.rmtree(kept.folder, ignore_errors=True)
        return RepairReport(RepairPlan(str(file), "nothing", left=left), file, None, 0.0)
    return RepairReport(RepairPlan(str(file), "in-place", steps, left, cured.tables), file, kept.folder, 0.0)


def _exchange(
    file: Path, expectation: Expectation, kept: Evidence, held: Hold, progress: Progress | None
) -> RepairReport:
    """Salvage the bytes that were kept into a new file and put it in the place of the old one."""
    new = staged(file)
    try:
        cured = _salvage(kept.main, new, expectation, progress)
        _finish(new, kept.main)
        left = _what_is_left(new, expectation, cured.left)
        with hold(new, is_writing=True) as newly:
            # whoever comes meanwhile waits until the old log is gone
            newly.take_alone()
            put_in_place(new, file)
        held.invalidate()
    except DataLayerError:
        shutil.rmtree(kept.folder, ignore_errors=True)
        clear_leftovers(file)
        raise
    plan = RepairPlan(str(file), "salvage", tuple(cured.steps), left, cured.tables)
    return RepairReport(plan, file, kept.folder, 0.0)


def _repair_into(
    file: Path, output: Path, expectation: Expectation, progress: Progress | None
) -> RepairReport:
    """Write the repaired database to another path. The original is read, never through SQLite."""
    if output.exists():
        raise DatabaseUnavailable(
            f"cannot write {output}", why="there is a file of that name", hint="give another name"
        )
    with hold(file, is_writing=False), disk_errors(output):
        state = _look(file, expectation)
        new = staged(output, "output")
        beside(new, "").unlink(missing_ok=True)
        way = "nothing" if state.is_sound else "salvage" if state.damage else "in-place"
        if way == "salvage":
            cured = _salvage(file, new, expectation, progress)
        else:
            with copied(file, output.parent) as copy:
                with _translated(file):
                    cured = _cure(copy.uri, expectation)
                _finish(copy.path, file)
                copy.path.replace(new)
        _finish(new, file)
        left = _what_is_left(new, expectation, cured.left)
        sync_file(new)
        new.replace(output)
        sync_folder(output.parent)
    steps = (*state.first_steps, *cured.steps)
    return RepairReport(RepairPlan(str(file), way, steps, left, cured.tables), output, None, 0.0)


def _refuse_lossy(plan: RepairPlan) -> None:
    if not plan.is_lossy:
        return
    lossy = [step for step in plan.steps if step.is_lossy]
    raise MigrationRefused(
        f"the repair of {plan.database} moves or replaces values: {lossy[0]}",
        findings=[step.as_object() for step in lossy],
        why=f"{len(lossy)} of {len(plan.steps)} steps do",
        hint="look at the plan (--dry-run), then say --yes; every original byte is kept",
    )


def _refuse_unless_alone(held: Hold) -> None:
    if not held.take_alone() or openers(held.path):
        raise held.refuse()


def _stamp(file: Path) -> object:
    """Tell the states of a file and its log apart."""
    found: list[tuple[int, int]] = []
    for ending in ("", "-wal"):
        other = beside(file, ending)
        if other.exists() and (other.stat().st_size or not ending):
            found.append((other.stat().st_size, other.stat().st_mtime_ns))
    return found


def _finish(new: Path, old: Path) -> None:
    """Give a new file the journal mode of the old one, and leave nothing beside it."""
    with old.open("rb") as reader:
        is_wal = reader.read(20)[18:20] == b"\2\2" or beside(old, "-wal").exists()
    with _translated(new), closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {'WAL' if is_wal else 'DELETE'}").fetchone()
    sync_file(new)


def _write_log_back(kept: Evidence, file: Path) -> None:
    """Put a database without a log in the place of one with a log, so that it can be exchanged.

    What cannot even be opened stays as it is: its bytes are kept.
    """
    try:
        with copied(kept.main, file.parent) as copy:
            with closing(sqlite3.connect(copy.path, isolation_level=None)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            copy.path.replace(staged(file))
    except sqlite3.Error:
        return
    put_in_place(staged(file), file)


def _what_is_left(file: Path, expectation: Expectation, left: Sequence[Finding]) -> tuple[Finding, ...]:
    """Check the result as check-db does: what it still finds is for people."""
    with closing(open_for_treatment(f"{file.as_uri()}?mode=rw")) as connection:
        wanted, _ = expectation.for_database(connection)
    expected = None if wanted is None else wanted.schema
    found = check_file(file, expected=expected, with_schema=expected is not None, rules=expectation.rules)
    known = {(one.id, one.table) for one in left}
    bad = [one for one in found if _is_left(one) and one.id not in _SURROUNDINGS]
    if wanted is not None:
        # a number that the wanted schema does not set is the app's own
        bad = [one for one in bad if one.id != "DL-C023" or one.object in wanted.header]
    return (*left, *(one for one in bad if (one.id, one.table) not in known))


def _is_left(finding: Finding) -> bool:
    """Whether a finding is a problem: not what is only worth knowing, with nothing to be done about it."""
    return finding.severity == "error" or (finding.severity == "warning" and finding.repair != "none")
