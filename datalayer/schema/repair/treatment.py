"""All cures of logical damage on one open SQLite connection, in the transaction that its caller holds.

Order: indexes first, for everything else may read through them; then missing objects, values, references,
the app's rules, what was refused before the rows were right, numbering. Pages are taken to be sound:
damage is told, and cured by a salvage elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from datalayer.engine.documents import same_json
from datalayer.errors import DataLayerError, MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.migrate import Wanted, perform, plan_change
from datalayer.schema.change.telling import steps_of
from datalayer.schema.check.rule import Rule
from datalayer.schema.difference import Difference, differences
from datalayer.schema.finding import Finding
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.repair.defects import (
    Defect,
    PageReport,
    duplicates,
    look_at_pages,
    look_at_values,
    misfits,
)
from datalayer.schema.repair.quarantine import is_lost_and_found, move
from datalayer.schema.repair.references import References, find_orphans
from datalayer.schema.repair.report import Step
from datalayer.schema.repair.rows_of_rule import rows_named
from datalayer.schema.snapshot import Schema, Trigger, read
from datalayer.schema.tokens import fold, quote

__all__ = ["PagesDamaged", "Treatment", "open_for_treatment", "row_counts"]

_NOTHING_SAID = Consent()


class PagesDamaged(Exception):
    """The pages themselves are damaged: rows must be salvaged; `damage` are SQLite's sentences."""

    def __init__(self, damage: list[str]) -> None:
        super().__init__("; ".join(damage[:3]))
        self.damage = damage


def open_for_treatment(uri: str, *, timeout_s: float = 5.0) -> sqlite3.Connection:
    """Open a connection with nothing in the way of cures; it commits by itself outside BEGIN."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout_s, cached_statements=0)
    # what does not decode is read all the same
    connection.text_factory = _readable
    for setting in (
        "foreign_keys = OFF",
        "legacy_alter_table = OFF",
        "recursive_triggers = OFF",
        "cell_size_check = ON",
        "temp_store = FILE",
        "synchronous = FULL",
        "cache_size = -32768",
    ):
        connection.execute(f"PRAGMA {setting}")
    connection.create_function("same_json", 2, same_json, deterministic=True)
    return connection


def row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of every table of the app's."""
    return {
        table.name: int(connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0])
        for table in read(connection).tables
        if table.kind == "table" and not is_lost_and_found(table.name)
    }


@dataclass(slots=True)
class Treatment:
    """One treatment: what should be there, the app's rules; afterwards the steps, and what is left."""

    connection: sqlite3.Connection
    wanted: Wanted | None
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    steps: list[Step] = field(default_factory=list[Step])
    left: list[Finding] = field(default_factory=list[Finding])
    _triggers: tuple[Trigger, ...] = ()

    def run(self) -> None:
        """Cure everything that can be cured. Raises PagesDamaged, with the transaction to be rolled back.

        Running it once more on the result finds nothing to do but what is left.
        """
        pages = self._mend_indexes()
        self._mend_schema(is_last=False)
        with self._without_triggers():
            self._mend_values(pages)
            self._mend_references()
            self._mend_rules()
            self._mend_references()
        self._mend_schema(is_last=True)
        self._mend_sequences()
        if self.steps:
            self._prove()

    def finds_nothing(self) -> bool:
        """Say whether there is nothing to cure, without writing. Raises PagesDamaged.

        What `run` would only leave to people counts as something: only it can tell.
        """
        connection, found = self.connection, read(self.connection)
        pages = look_at_pages(connection)
        if pages.damage:
            raise PagesDamaged(pages.damage)
        if pages.indexes or pages.duplicated or pages.text_indexes or pages.misfits:
            return False
        if self.wanted is not None and self._differences(self.wanted):
            return False
        if any(look_at_values(connection, found, self._expected)) or any(find_orphans(connection, found)):
            return False
        return not any(rows_named(connection, rule, found) for rule in self.rules.values()) and not [
            *self._behind()
        ]

    @property
    def _expected(self) -> Schema | None:
        return None if self.wanted is None else self.wanted.schema

    # -- indexes -----------------------------------------------------------------------------------

    def _mend_indexes(self) -> PageReport:
        pages = look_at_pages(self.connection)
        if pages.damage:
            raise PagesDamaged(pages.damage)
        found = read(self.connection)
        broken = pages.indexes | pages.duplicated
        with self._despite_indexes(bool(broken)), self._without_triggers():
            for defect in duplicates(self.connection, found, self._expected, broken):
                self._move(defect)
        for name in sorted(broken):
            table = self._table_of(name)
            self.connection.execute(f"REINDEX {quote(name)}")
            reason = f"the index {name} disagrees with its table"
            self.steps.append(Step("reindex", table, name, 1, reason, "it is made anew from the table"))
        for name in sorted(pages.text_indexes):
            self.connection.execute(f"INSERT INTO {quote(name)} ({quote(name)}) VALUES ('rebuild')")
            reason = f"the full-text index {name} disagrees with its content"
            self.steps.append(Step("rebuild-text-index", name, name, 1, reason, "it is made anew"))
        return pages

    def _table_of(self, index: str) -> str | None:
        sql = "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND name = ?"
        row = self.connection.execute(sql, (index,)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def _despite_indexes(self, is_needed: bool) -> Generator[None]:
        """Let rows be deleted that an index does not know of (OP_IdxDelete in vdbe.c asks for this flag)."""
        if is_needed:
            self.connection.execute("PRAGMA writable_schema = ON")
        try:
            yield
        finally:
            if is_needed:
                self.connection.execute("PRAGMA writable_schema = OFF")

    # -- schema ------------------------------------------------------------------------------------

    def _mend_schema(self, *, is_last: bool) -> None:
        """Bring the schema to the wanted one as a migration does; `is_last` says what stands in its way."""
        wanted, connection = self.wanted, self.connection
        if wanted is None:
            return
        wrong = self._differences(wanted)
        if not wrong:
            return
        connection.execute("SAVEPOINT mend_schema")
        try:
            plan = plan_change(connection, wanted, _NOTHING_SAID)
            steps = steps_of(connection, plan, measured=False)
            perform(connection, plan, _NOTHING_SAID, wanted, None)
        except (MigrationRefused, sqlite3.Error) as exc:
            connection.execute("ROLLBACK TO mend_schema")
            if is_last:
                self._leave_schema(exc, wrong)
            return
        finally:
            connection.execute("RELEASE mend_schema")
            connection.execute("PRAGMA foreign_keys = OFF")
        for step in steps:
            kind = "header" if step.kind == "pragma" else "schema"
            found = next((text for name, text in wrong if name == fold(step.name)), "")
            reason = found or f"{step.kind} {step.name} is not as expected"
            self.steps.append(Step(kind, None, step.name, 1, reason, _words(step.sql)))

    def _differences(self, wanted: Wanted) -> list[tuple[str, str]]:
        """Give what is missing or otherwise, as (folded name, words)."""
        found = read(self.connection)
        wrong = [(fold(one.name), str(one)) for one in differences(wanted.schema, found) if _is_wrong(one)]
        for name in sorted(wanted.header):
            mine, theirs = getattr(wanted.schema, name), getattr(found, name)
            if mine != theirs:
                wrong.append((name, f"PRAGMA {name} is {theirs}, expected {mine}"))
        return wrong

    def _leave_schema(self, exc: Exception, wrong: list[tuple[str, str]]) -> None:
        why = (exc.why or exc.what) if isinstance(exc, DataLayerError) else str(exc)
        message = f"{'; '.join(text for _, text in wrong[:5])}; not put right: {why}"
        self.left.append(Finding("DL-C021", "error", None, None, len(wrong), message, "manual"))

    # -- values ------------------------------------------------------------------------------------

    def _mend_values(self, pages: PageReport) -> None:
        found = read(self.connection)
        # twice: a value of another class may seem to break a rule, and a broken rule keeps its row as it is
        converted = [self._convert(defect) for defect in misfits(self.connection, pages, found)]
        for defect in look_at_values(self.connection, found, self._expected):
            if defect.cure == "default":
                self._set_default(defect)
            else:
                self._move(defect)
        if converted:
            for defect in misfits(self.connection, pages, found):
                self._convert(defect)

    def _move(self, defect: Defect) -> None:
        count = move(self.connection, defect.table, defect.condition, defect.reason)
        if count:
            choice = f"{count} rows move to lost_and_found"
            self._note("move", defect, count, choice)

    def _convert(self, defect: Defect) -> None:
        """Store the values anew: that alone gives them the storage class of their column."""
        name = quote(defect.object)
        before = self._storage(defect)
        self.connection.execute(f"UPDATE OR IGNORE {quote(defect.table.name)} SET {name} = {name}")
        after = self._storage(defect)
        changed = sum(abs(after[kind] - before[kind]) for kind in {*before, *after}) // 2
        if changed:
            choice = "the values are stored anew, each as its column stores it"
            self.steps.append(
                Step("convert", defect.table.name, defect.object, changed, defect.reason, choice)
            )

    def _storage(self, defect: Defect) -> Counter[str]:
        name = quote(defect.object)
        sql = f"SELECT typeof({name}), count(*) FROM {quote(defect.table.name)} GROUP BY 1"
        return Counter({str(kind): int(count) for kind, count in self.connection.execute(sql)})

    def _set_default(self, defect: Defect) -> None:
        """Put a column's default where it must not be NULL; a row of which that breaks another rule moves."""
        default, name = self._column(defect), quote(defect.object)
        sql = f"UPDATE OR IGNORE {quote(defect.table.name)} AS t0 SET {name} = ({default})"
        count = self.connection.execute(f"{sql} WHERE {defect.condition}").rowcount
        if count:
            self._note("default", defect, count, f"{count} rows take the column's default {default}")
        self._move(defect)

    def _column(self, defect: Defect) -> str:
        expected = self._expected
        target = None if expected is None else expected.table(defect.table.name)
        column = (None if target is None else target.column(defect.object)) or defect.table.column(
            defect.object
        )
        return (column.default if column is not None else None) or "NULL"

    def _note(self, action: str, defect: Defect, count: int, choice: str) -> None:
        kind = "default" if action == "default" else "move"
        self.steps.append(
            Step(kind, defect.table.name, defect.object, count, defect.reason, choice, is_lossy=True)
        )

    # -- references and rules ----------------------------------------------------------------------

    def _mend_references(self) -> None:
        found = read(self.connection)
        references = References(self.connection, objections=self._objections)
        references.settle(found, self._expected, self._triggers)
        self.steps += references.steps
        known = {(one.table, one.object) for one in self.left}
        for orphans in references.left:
            if (orphans.table.name, orphans.label) in known:
                continue
            why = f"there is no table {orphans.key.parent}"
            message = f"{orphans.count} rows of {orphans.table.name}: {orphans.reason}; {why}"
            self.left.append(
                Finding(
                    "DL-C010", "error", orphans.table.name, orphans.label, orphans.count, message, "manual"
                )
            )

    def _objections(self) -> int:
        """Count the rows that the app's rules name."""
        found, count = read(self.connection), 0
        for rule in self.rules.values():
            if rule.severity == "error":
                with suppress(sqlite3.Error):
                    named = rows_named(self.connection, rule, found)
                    count += named if isinstance(named, int) else named[2]
        return count

    def _mend_rules(self) -> None:
        for name, rule in self.rules.items():
            found = read(self.connection)
            named = self._named(name, rule, found)
            table = None if isinstance(named, int) else found.table(named[0])
            if isinstance(named, int) or table is None or rule.severity != "error":
                self._tell(name, rule, named if isinstance(named, int) else named[2])
                continue
            count = move(self.connection, table, named[1], f"the rule {name} is broken")
            choice = f"{count} rows move to lost_and_found"
            reason = rule.message.replace("{count}", str(count))
            self.steps.append(Step("move", table.name, name, count, reason, choice, is_lossy=True))

    def tell(self, rules: Mapping[str, Rule]) -> None:
        """Say of rules which are broken, without curing anything."""
        found = read(self.connection)
        for name, rule in rules.items():
            named = self._named(name, rule, found)
            self._tell(name, rule, named if isinstance(named, int) else named[2])

    def _named(self, name: str, rule: Rule, found: Schema) -> tuple[str, str, int] | int:
        try:
            return rows_named(self.connection, rule, found)
        except sqlite3.Error as exc:
            message = f"the rule {name} could not be run: {exc}"
            self.left.append(Finding("DL-C012", "warning", rule.table, name, 1, message, "none"))
            return 0

    def _tell(self, name: str, rule: Rule, count: int) -> None:
        if count and rule.severity != "info":
            message = rule.message.replace("{count}", str(count))
            self.left.append(Finding(name, rule.severity, rule.table, None, count, message, rule.repair))

    @contextmanager
    def _without_triggers(self) -> Generator[None]:
        """Take the triggers away meanwhile: a cure is no event of the app's."""
        sql = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid"
        self._triggers = tuple(
            Trigger(str(name), str(table), str(text))
            for name, table, text in self.connection.execute(sql).fetchall()
        )
        for trigger in self._triggers:
            self.connection.execute(f"DROP TRIGGER {quote(trigger.name)}")
        yield
        for trigger in self._triggers:
            self.connection.execute(trigger.sql)

    # -- numbering and proof -----------------------------------------------------------------------

    def _mend_sequences(self) -> None:
        for table, number in [*self._behind()]:
            self.connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self.connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))
            reason = f"the sequence of {table} is behind its rows"
            self.steps.append(Step("sequence", table, None, 1, reason, f"it is set to {number}"))

    def _behind(self) -> Iterator[tuple[str, int]]:
        """Give the tables whose sequence is behind, twice there or no number, with what it must be."""
        connection = self.connection
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
            return
        strange = connection.execute("SELECT count(*) FROM sqlite_sequence WHERE typeof(name) <> 'text'")
        if strange.fetchone()[0]:
            # these are rows of another table, whose root page it was given
            raise PagesDamaged(["sqlite_sequence holds rows that are no names of tables"])
        for table in read(connection).tables:
            if table.primary_key is None or not table.primary_key.autoincrement:
                continue
            highest = connection.execute(f"SELECT max(rowid) FROM {quote(table.name)}").fetchone()[0] or 0
            sql = "SELECT seq FROM sqlite_sequence WHERE name = ?"
            rows = connection.execute(sql, (table.name,)).fetchall()
            numbers = [int(row[0]) for row in rows if isinstance(row[0], int)]
            if not (len(rows) == len(numbers) <= 1 and max(numbers, default=0) >= highest):
                yield table.name, max([highest, *numbers])

    def _prove(self) -> None:
        """Look at the pages once more: a cure that left them otherwise than sound must not be committed."""
        pages = look_at_pages(self.connection)
        wrong = [*pages.damage, *(f"index {name} disagrees" for name in pages.indexes | pages.duplicated)]
        if wrong:
            raise PagesDamaged(wrong)


def _is_wrong(one: Difference) -> bool:
    """Whether a difference is to be put right: not what is extra, nor how migrations are recorded."""
    return one.change != "extra" and not (one.table in JOURNAL_TABLES and one.change != "missing")


def _words(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= 100 else f"{line[:99]}…"


def _readable(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
