"""What there is to say about a database at one moment: the facts of the report, as values.

Counts only: no value of any row is read into it, and nothing of an address but where the database is. What
cannot be read is said and the rest told. Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from datalayer.engine.address import Address
from datalayer.engine.figures import Figures, TableFigures, measure
from datalayer.errors import DatabaseCorrupt, DataLayerError, SchemaMismatch
from datalayer.schema.backup_file import disk_errors
from datalayer.schema.backup_manifest import Origin
from datalayer.schema.backups import BackupEntry, list_backups
from datalayer.schema.check.observing import observed
from datalayer.schema.check.outline import Outline, outline
from datalayer.schema.entities import Entities, read_entities
from datalayer.schema.finding import Finding
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.status import MigrationStatus, status
from datalayer.store import Store, connect
from datalayer.web.last_repair import LastRepair, last_repair

__all__ = ["Cures", "Health", "MigrationLine", "Report", "report_on"]

Part = TypeVar("Part")

_MIGRATE = frozenset({"DL-C020", "DL-C021", "DL-C024", "DL-C030", "DL-C034"})
_LOOK_AT_MIGRATIONS = frozenset({"DL-C031", "DL-C032", "DL-C033"})
# what these say of themselves may hold a row's key, or a value that the database quotes in an error
_TOLD_BRIEFLY = {
    "DL-C004": "a rule could not be computed",
    "DL-C011": "a sequence is behind the numbers that are used: inserts will fail",
    "DL-C012": "a rule could not be run",
    "DL-C060": "response files that no job refers to",
    "DL-C061": "response files that jobs refer to and that are gone",
    "DL-C062": "response files that were cut short",
}
_NAMES_A_ROW = frozenset({"DL-C060", "DL-C061", "DL-C062"})
_ORDER = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Cures:
    """The commands that help, with the words that say which schema is meant."""

    migrate: str = "datalayer migrate"
    list_migrations: str = "datalayer migrations list"
    repair: str = "datalayer repair --dry-run"


@dataclass(frozen=True, slots=True)
class Health:
    """One finding as the report tells it; `run` is the command that helps, empty where none does."""

    id: str
    severity: str
    table: str | None
    object: str | None
    count: int
    message: str
    repair: str
    run: str


@dataclass(frozen=True, slots=True)
class MigrationLine:
    """One migration; `state` is applied, pending, changed, stopped or missing."""

    name: str
    state: str
    kind: str
    applied_at: datetime | None
    duration_ms: int | None
    checksum: str


_CURES = Cures()


@dataclass(slots=True)
class Report:
    """The facts, section by section; `unread` says of a section why it could not be read.

    `is_open` is False of a file that could not be opened.
    """

    database: str
    engine: str
    made_at: datetime
    figures: Figures | None = None
    findings: list[Health] = field(default_factory=list[Health])
    migrations: list[MigrationLine] = field(default_factory=list[MigrationLine])
    migration_problems: list[str] = field(default_factory=list[str])
    backups: list[BackupEntry] = field(default_factory=list[BackupEntry])
    backup_folder: str = ""
    repair: LastRepair | None = None
    jobs: dict[str, int] = field(default_factory=dict[str, int])
    entities: Entities | None = None
    unread: dict[str, str] = field(default_factory=dict[str, str])
    is_open: bool = True

    @property
    def version(self) -> str:
        """The version of the engine, empty where the database could not be opened."""
        return self.settings.get("version", "")

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings in force."""
        return self.figures.settings if self.figures else {}

    @property
    def tables(self) -> Sequence[TableFigures]:
        """The tables with rows and bytes."""
        return self.figures.tables if self.figures else ()

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return {word: sum(one.severity == word for one in self.findings) for word in _ORDER}

    @property
    def states(self) -> dict[str, int]:
        """How many migrations are in each state that any is in."""
        found = [one.state for one in self.migrations]
        return {state: found.count(state) for state in dict.fromkeys(found)}

    @property
    def lost_and_found(self) -> int:
        """How many rows repairs have moved out of their place and nobody has looked after since."""
        return sum(table.rows for table in self.tables if table.name.startswith("lost_and_found"))

    @property
    def is_well(self) -> bool:
        """Whether everything could be read and nothing was found that needs somebody."""
        waits = any(state != "applied" for state in self.states)
        return not (self.counts["error"] or self.counts["warning"] or self.unread or waits)


def report_on(
    target: str,
    findings: Sequence[Finding],
    *,
    folder: Folder | None = None,
    cures: Cures = _CURES,
) -> Report:
    """Gather what the report says of a database, given by path or URL, beside what a check found.

    Reads only, and leaves no trace beside a file; counts every table. A file that cannot be opened is told of
    as far as that goes (`is_open` of the report). `folder` has the migrations to compare with, None where
    none are expected, `cures` the commands to name.

    Raises DatabaseUnavailable (missing, no permission, refused), DatabaseBusy.
    """
    address, health = Address.parse(target), _health(findings, cures)
    path = address.path
    if path is None:
        with connect(target, read_only=True, create=False) as store:
            return _gather(address, store, health, folder)
    with disk_errors(path, "read"):
        seen = outline(path)
    if not seen.is_database or not seen.size:
        worst = next((one for one in health if one.severity == "error"), None)
        return _unopened(address, health, worst.message if worst else "the file is empty")
    try:
        return observed(seen, lambda engine: _observed(address, Store(engine), health, folder, seen))
    except DatabaseCorrupt as exc:
        return _unopened(address, health, exc.what)


def _observed(
    address: Address, store: Store, health: list[Health], folder: Folder | None, seen: Outline
) -> Report:
    report = _gather(address, store, health, folder)
    if report.figures is not None and seen.is_wal:
        # a file that is taken as immutable is read as if it had no log
        settings = {**report.figures.settings, "journal_mode": "wal"}
        report.figures = replace(report.figures, settings=settings, wal_bytes=seen.wal_size or 0)
    return report


def _unopened(address: Address, health: list[Health], why: str) -> Report:
    report = _around(address, "public", health)
    report.is_open = False
    report.unread["tables"] = why
    return report


def _gather(address: Address, store: Store, health: list[Health], folder: Folder | None) -> Report:
    engine = store.engine
    report = _around(address, engine.schema_name, health)
    reading = _Reading(report)
    report.figures = reading.part("tables", lambda: measure(engine), None)
    report.entities = reading.part("diagram", lambda: read_entities(engine), None)
    report.jobs = reading.part("jobs", lambda: _jobs(store), {})
    if folder is not None:
        reading.part("migrations", lambda: _add_migrations(report, store, folder), None)
    return report


def _around(address: Address, schema: str, health: list[Health]) -> Report:
    """Begin a report with what is known without opening the database."""
    report = Report(_place(address, schema), address.engine, datetime.now(UTC))
    report.findings = health
    origin = _origin(address, schema)
    if origin is not None:
        report.backups = _Reading(report).part("backups", lambda: list_backups(origin), [])
        report.backup_folder = str(origin.folder or "")
    if address.path is not None:
        report.repair = last_repair(address.path)
    return report


class _Reading:
    """Reads one section after another; one that fails is noted and does not stop the others."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def part(self, name: str, read: Callable[[], Part], otherwise: Part) -> Part:
        """Give what `read` gives, or `otherwise` where that cannot be read."""
        try:
            return read()
        except DataLayerError as exc:
            self._report.unread[name] = exc.what
            return otherwise


def _place(address: Address, schema: str) -> str:
    """Say where a database is: a path, or host, port and name; no user, no option of a URL."""
    if address.path is not None:
        return str(address.path)
    try:
        return Origin.of(address, schema).source
    except ValueError:
        return address.engine


def _origin(address: Address, schema: str) -> Origin | None:
    try:
        return Origin.of(address, schema)
    except ValueError:
        # an address of several hosts has no single place
        return None


def _jobs(store: Store) -> dict[str, int]:
    try:
        return {name: count for name, count in store.jobs.stats().by_status.items() if count}
    except SchemaMismatch:
        # any database can be reported on; only ours has jobs
        return {}


# -- health ---------------------------------------------------------------------------------------


def _health(findings: Sequence[Finding], cures: Cures) -> list[Health]:
    """Give findings without the keys of rows, the worst first; those that name single rows become one."""
    told: dict[tuple[str | None, ...], Health] = {}
    for number, finding in enumerate(findings):
        health = _told(finding, cures)
        is_of_rows = finding.id in _NAMES_A_ROW
        key = (finding.id, finding.table) if is_of_rows else (str(number),)
        before = told.get(key)
        told[key] = health if before is None else _sum(before, health)
    return sorted(told.values(), key=lambda one: _ORDER.index(one.severity))


def _told(finding: Finding, cures: Cures) -> Health:
    return Health(
        finding.id,
        finding.severity,
        finding.table,
        None if finding.id in _NAMES_A_ROW else finding.object,
        finding.count,
        _TOLD_BRIEFLY.get(finding.id, finding.message),
        finding.repair,
        _what_to_run(finding, cures),
    )


def _sum(one: Health, other: Health) -> Health:
    return Health(
        one.id,
        one.severity,
        one.table,
        one.object,
        one.count + other.count,
        one.message,
        one.repair,
        one.run,
    )


def _what_to_run(finding: Finding, cures: Cures) -> str:
    if finding.id in _MIGRATE:
        return cures.migrate
    if finding.id in _LOOK_AT_MIGRATIONS:
        return cures.list_migrations
    return cures.repair if finding.repair in ("automatic", "lossy") else ""


# -- migrations -----------------------------------------------------------------------------------


def _add_migrations(report: Report, store: Store, folder: Folder) -> None:
    found = status(store.engine, folder)
    report.migrations = [_line(one) for one in found.migrations]
    report.migration_problems = [f"{one['id']} {one['message']}" for one in found.findings]


def _line(one: MigrationStatus) -> MigrationLine:
    row = one.row
    checksum = row.checksum_raw if row is not None else one.file.checksum_raw if one.file else None
    return MigrationLine(
        one.name,
        one.state,
        row.kind if row is not None else one.file.kind if one.file else "",
        one.applied_at,
        None if row is None else row.duration_ms,
        (checksum or "")[:8],
    )
