"""The whole check of a database: what is looked at, in which order, and what makes the rest pointless.

Physical state, schema, stored values, references, migrations, rules. Each look is a module of its own; domain
rules are given by who knows the domains.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.engine.holders import find_holders
from datalayer.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable, DataLayerError
from datalayer.schema.check import postgres
from datalayer.schema.check.drift import drift, migrations_out_of_step
from datalayer.schema.check.filebytes import is_open_here
from datalayer.schema.check.fulltext import broken_text_indexes
from datalayer.schema.check.logs import look_at_journal, look_at_log
from datalayer.schema.check.observing import observed, private_copy
from datalayer.schema.check.outline import Outline, outline
from datalayer.schema.check.rule import Inspection, Rule, broken_rules
from datalayer.schema.check.structure import (
    broken_references,
    integrity,
    is_damage,
    sampled,
    sequences_behind,
)
from datalayer.schema.check.surroundings import FATAL, locked, surroundings
from datalayer.schema.check.values import broken_values, doubles
from datalayer.schema.finding import Finding
from datalayer.schema.history import applied_names, recorded_names
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.salvage.findings import inspect as inspect_bytes
from datalayer.schema.salvage.roots import strange_roots
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.target import own_target
from datalayer.schema.tokens import fold

__all__ = ["check", "check_file"]

Progress = Callable[[int, int], None]
"""Called with (done, total), in pages."""

BUSY_TIMEOUT_S = 5.0
_TICKS = 2_000_000
# with these, the roots of the tables are worth a look without SQLite, with the others every page
_DISAGREEMENT = ("DL-C002", "DL-C003", "DL-C005", "DL-C006", "DL-C009", "DL-C010", "DL-C011")
_DAMAGE = ("DL-C001", "DL-C013", "DL-C079", "DL-C082", "DL-C083", "DL-C084")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for: the expected schema with its migrations, rules, how thorough.

    `is_own`: the package's own schema is expected, as far as its domains are installed.
    """

    quick: bool
    schema: Schema | None
    names: Sequence[str]
    folder: Folder | None
    is_own: bool = False
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    inspections: Sequence[Inspection] = ()
    progress: Progress | None = None


def check(
    engine: Engine,
    *,
    quick: bool = False,
    expected: Schema | None = None,
    with_schema: bool = True,
    rules: Mapping[str, Rule] | None = None,
    inspections: Sequence[Inspection] = (),
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for damage, broken rules, differences from the expected schema and pending migrations.

    `expected` is the package's own schema unless another is given; `with_schema=False` leaves it and the
    migrations out. `rules` are queries for rows that break a rule, `inspections` what else domains look at.
    `quick` leaves out what reads every row: it takes milliseconds on any size. `progress` is called with
    (done, total) pages.

    Writes nothing: a SQLite file is read through a connection of its own that cannot write (see
    `datalayer.schema.check.observing`), PostgreSQL in read-only transactions. One snapshot for the whole
    check of a file; it keeps a WAL from being reset meanwhile. Cost: every page is read (PRAGMA
    integrity_check, https://sqlite.org/pragma.html#pragma_integrity_check) and every row of a table that has
    rules or texts.

    Raises DatabaseCorrupt for a file that is not a database. Damage within one comes as findings.

        [finding.message for finding in check(engine) if finding.severity == "error"]
    """
    wanted = _wanted(quick, expected, with_schema=with_schema)
    wanted = replace(wanted, rules=rules or {}, inspections=inspections, progress=progress)
    if engine.dialect.name != "sqlite":
        wanted = _as_installed(wanted, applied_names(engine))
        return _with_rules(engine, wanted, postgres.inspect(engine, wanted.schema, quick=quick))
    if engine.path is None:
        with engine.transaction(read=True):
            findings = _database(engine, wanted)
    else:
        findings = _file(engine.path, wanted, engine.options.busy_timeout_s)
        if any(one.id in ("DL-C072", "DL-C073") for one in findings):
            raise DatabaseCorrupt(
                f"{engine.display_url} is not a database",
                why=findings[-1].message,
                hint="put the newest backup in its place",
            )
    return [*findings, *_settings(engine)]


def check_file(
    path: str | os.PathLike[str],
    *,
    quick: bool = False,
    expected: Schema | None = None,
    with_schema: bool = True,
    rules: Mapping[str, Rule] | None = None,
    inspections: Sequence[Inspection] = (),
    progress: Progress | None = None,
) -> list[Finding]:
    """Check a SQLite file that is not open: as `check`, and whatever the file is, there is no error.

    A missing file, a folder, something that is not a database: each is a finding. SQLite does not open the
    file before a look at its header, log and journal says that this does no harm.
    """
    wanted = _wanted(quick, expected, with_schema=with_schema)
    wanted = replace(wanted, rules=rules or {}, inspections=inspections, progress=progress)
    return _file(Path(path).absolute(), wanted, BUSY_TIMEOUT_S)


def _wanted(quick: bool, expected: Schema | None, *, with_schema: bool) -> _Wanted:
    if expected is not None or not with_schema:
        return _Wanted(quick, expected if with_schema else None, (), None)
    target = own_target()
    return _Wanted(quick, target.schema, target.names, target.folder, is_own=True)


def _as_installed(wanted: _Wanted, applied: Iterable[str]) -> _Wanted:
    """Hold a database with these applied migrations to the package's schema as far as it has the domains."""
    if not wanted.is_own:
        return wanted
    target = own_target(applied)
    return replace(wanted, schema=target.schema, names=target.names, folder=target.folder)


# -- a file ---------------------------------------------------------------------------------------


def _file(path: Path, wanted: _Wanted, busy_timeout_s: float) -> list[Finding]:
    findings = surroundings(path)
    if any(one.id in FATAL and one.severity == "error" for one in findings):
        return findings
    try:
        seen = _without_live_journal(outline(path))
    except OSError as exc:
        message = f"{path} cannot be read: {exc.strerror}"
        return [*findings, Finding("DL-C075", "error", None, None, 1, message, "manual")]
    if not wanted.quick:
        bad_journal = look_at_journal(seen)
        more = [*look_at_log(seen), *([] if bad_journal is None else [bad_journal])]
        seen = replace(seen, findings=(*seen.findings, *more))
    findings += seen.findings
    if seen.is_database and seen.size:
        findings += _contents(seen, wanted, busy_timeout_s)
    if wanted.quick:
        return findings
    if any(one.id in _DAMAGE and one.severity == "error" for one in findings):
        findings += _by_bytes(seen, lambda path: inspect_bytes(path, wanted.schema, progress=wanted.progress))
    elif not is_open_here(seen.path) or any(one.id in _DISAGREEMENT for one in findings):
        findings += _by_bytes(seen, lambda path: list(strange_roots(path)))
    return findings


def _contents(seen: Outline, wanted: _Wanted, busy_timeout_s: float) -> list[Finding]:
    """Look at the database with SQLite, where it can be opened."""
    try:
        return observed(seen, lambda engine: _snapshot(engine, wanted), busy_timeout_s=busy_timeout_s)
    except DatabaseBusy:
        return [locked(seen.path)]
    except DatabaseUnavailable as exc:
        message = ": ".join(part for part in (exc.what, exc.why) if part)
        return [Finding("DL-C075", "error", None, None, 1, message, "manual")]
    except DataLayerError as exc:
        # a damaged header can make SQLite refuse the file in other words than that it is damaged
        return [_unreadable(str(exc.__cause__ or exc.why or exc.what))]


def _by_bytes(seen: Outline, look: Callable[[Path], list[Finding]]) -> list[Finding]:
    """Look at a damaged file without SQLite, which tells more than it does: on a copy if it is open here."""
    try:
        if not is_open_here(seen.path):
            found = look(seen.path)
            # what somebody wrote meanwhile is no damage
            return found if outline(seen.path).state == seen.state else []
        with private_copy(seen) as path:
            return look(path)
    except (DataLayerError, OSError):
        # what there is to tell has been told
        return []


def _without_live_journal(seen: Outline) -> Outline:
    """Take a journal for what it is where its writer lives: the pages before a change that goes on."""
    if not any(one.id == "DL-C080" for one in seen.findings):
        return seen
    if not is_open_here(seen.path) and not find_holders(seen.path):
        return seen
    return replace(seen, findings=tuple(one for one in seen.findings if one.id != "DL-C080"))


def _unreadable(reason: str) -> Finding:
    message = f"the schema cannot be read ({reason}), so nothing else was checked: run `datalayer repair`"
    return Finding("DL-C013", "error", None, None, 1, message, "lossy")


def _snapshot(engine: Engine, wanted: _Wanted) -> list[Finding]:
    found: list[Finding] | None = None
    try:
        with engine.transaction(read=True):
            found = _database(engine, wanted)
    except DatabaseCorrupt:
        # over damaged pages even the end of a transaction that only reads can fail
        if found is None:
            raise
    return found


# -- an opened SQLite database --------------------------------------------------------------------


def _database(engine: Engine, wanted: _Wanted) -> list[Finding]:
    """Run all looks at one snapshot. Damage that stops one of them does not stop the others."""
    connection: sqlite3.Connection = engine.connection()
    findings: list[Finding] = []
    try:
        found = read(connection)
    except (sqlite3.DatabaseError, DatabaseCorrupt) as exc:
        if isinstance(exc, sqlite3.DatabaseError) and not is_damage(exc):
            raise
        reason = exc.why if isinstance(exc, DatabaseCorrupt) else None
        return [*_collect(_pages(connection, None, wanted), "the pages"), _unreadable(reason or str(exc))]
    wanted = _as_installed(wanted, recorded_names(connection, found))
    if wanted.quick:
        findings += _collect(sampled(connection, found), "the tables")
    else:
        findings += _collect(_pages(connection, found, wanted), "the pages")
    if wanted.schema is not None:
        findings += drift(wanted.schema, found)
    if not wanted.quick:
        findings += _collect(broken_text_indexes(connection), "the full-text indexes")
        findings += _collect(broken_references(connection, found), "the references")
    findings += _collect(sequences_behind(connection, found), "the sequences")
    return _with_rules(engine, wanted, findings, found)


def _collect(look: Iterator[Finding], what: str, table: str | None = None) -> list[Finding]:
    """Take what a look finds until it comes upon damage, which is a finding then, and says at `what`."""
    findings: list[Finding] = []
    try:
        findings.extend(look)
    except sqlite3.DatabaseError as exc:
        if not is_damage(exc):
            raise
        message = f"{what} cannot be read to the end: {exc}"
        findings.append(Finding("DL-C001", "error", table, None, 1, message, "lossy"))
    return findings


def _pages(connection: sqlite3.Connection, found: Schema | None, wanted: _Wanted) -> Iterator[Finding]:
    """Run SQLite's own check, then one pass over the rows of each table."""
    total = int(connection.execute("PRAGMA main.page_count").fetchone()[0])
    bar = _Bar(wanted.progress, total)
    owners = {
        fold(str(index)): str(table)
        for index, table in connection.execute(
            "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'"
        )
    }
    connection.set_progress_handler(bar.pulse if wanted.progress else None, _TICKS)
    try:
        said = integrity(connection, owners, quick=False)
    finally:
        connection.set_progress_handler(None, 0)
    bar.reach(0.7)
    yield from said.findings
    tables = [table for table in found.tables if table.kind == "table"] if found else []
    is_utf8 = connection.execute("PRAGMA main.encoding").fetchone()[0] == "UTF-8"
    for place, table in enumerate(tables, 1):
        is_suspect = said.is_cut or fold(table.name) in said.suspects
        look = broken_values(connection, table, is_suspect=is_suspect, is_utf8=is_utf8, tick=bar.tick)
        yield from _collect(look, f"the rows of {table.name}", table.name)
        if said.doubles:
            owned = [name for name in said.doubles if fold(owners.get(name, "")) == fold(table.name)]
            yield from _collect(doubles(connection, table, owned), f"the keys of {table.name}", table.name)
        bar.reach(0.7 + 0.3 * place / len(tables))


class _Bar:
    """How far the work is, in pages of the file."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def reach(self, share: float) -> None:
        """Say that this share of the work is done."""
        self._done = int(self._total * share)
        self.tick(0)

    def tick(self, _: int) -> None:
        """Say that work goes on."""
        if self._progress is not None:
            self._progress(self._done, self._total)

    def pulse(self) -> int:
        """Say so from within a statement of SQLite's; 0 lets it go on."""
        self._done = min(self._done + max(1, self._total // 200), int(self._total * 0.69))
        self.tick(0)
        return 0


# -- what both engines share ----------------------------------------------------------------------


def _with_rules(
    engine: Engine, wanted: _Wanted, findings: list[Finding], found: Schema | None = None
) -> list[Finding]:
    """Add migrations, rules and inspections, where the database is sound enough to ask."""
    ids = {one.id for one in findings}
    if ids & {"DL-C001", "DL-C013", "DL-C024"}:
        return findings
    if wanted.schema is not None:
        findings += migrations_out_of_step(engine, wanted.names, wanted.folder)
    if not wanted.quick:
        tables = (
            {fold(table.name) for table in found.tables}
            if found is not None
            else postgres.table_names(engine)
        )
        findings += broken_rules(engine, wanted.rules, tables=frozenset(tables))
        if not any(one.severity == "error" for one in findings):
            for inspect in wanted.inspections:
                findings += inspect(engine)
    return findings


def _settings(engine: Engine) -> list[Finding]:
    """Look at this thread's own connection: the one that the program writes through."""
    if engine.fetch_one("PRAGMA foreign_keys") == (1,):
        return []
    message = "PRAGMA foreign_keys is off on this connection, so references are not enforced"
    return [Finding("DL-C040", "error", None, "foreign_keys", 1, message, "manual")]
