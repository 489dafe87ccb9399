"""D001 to D004: what rows are lost to, and what runs on empty tables only."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile

from datalayer.schema.declaration import ForeignKey
from datalayer.schema.snapshot import Schema
from datalayer.schema.tokens import Statement, fold, quote, significant, tokenize, unquote
from datalayer.schema.validate.defaults import checks_of, first_failing
from datalayer.schema.validate.finding import Severity
from datalayer.schema.validate.postgres_block import is_plain, unfolded
from datalayer.schema.validate.postgres_model import Event
from datalayer.schema.validate.postgres_type import name_of
from datalayer.schema.validate.recreate import LOOSENING
from datalayer.schema.validate.replay import Step, open_memory
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.sample import Trial, try_with_rows
from datalayer.schema.validate.source import Source, line_at
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES", "needs_rows"]

# an UPDATE may take values over by a query, or by FROM
_COPIES = ("INSERT", "REPLACE", "WITH", "CREATE", "UPDATE", "SELECT")
_CASCADES = ("CASCADE", "SET NULL", "SET DEFAULT")
_ROWS_REFUSED = (
    "Cannot add a NOT NULL column",
    "Cannot add a REFERENCES column",
    "Cannot add a column with non-constant default",
)


def _is_pragma(statement: Statement) -> bool:
    """Say whether it sets PRAGMA foreign_keys."""
    tokens = statement.tokens
    place = 3 if len(tokens) > 3 and tokens[2].text == "." else 1
    is_set = len(tokens) > place + 1 and tokens[place + 1].text in ("=", "(")
    return statement.verb == "PRAGMA" and is_set and fold(unquote(tokens[place])) == "foreign_keys"


def _is_drop(statement: Statement) -> bool:
    return [token.upper for token in statement.tokens[:2]] == ["DROP", "TABLE"]


def _dropped(step: Step) -> str:
    """Give the table that a DROP TABLE drops; empty where it drops none."""
    if not _is_drop(step.statement) or step.error or step.before is step.after:
        return ""
    there = {fold(table.name) for table in step.after.tables}
    gone = [
        table.name for table in step.before.tables if table.kind != "shadow" and fold(table.name) not in there
    ]
    return gone[0] if gone else ""


def _children(schema: Schema, parent: str) -> list[tuple[str, ForeignKey]]:
    return [
        (table.name, key)
        for table in schema.tables
        for key in table.foreign_keys
        if fold(key.parent) == fold(parent) and fold(table.name) != fold(parent)
    ]


def _cascaded(schema: Schema, parent: str) -> list[str]:
    """Give the tables whose rows change when all rows of a table are deleted, in order, each once."""
    found: list[str] = []
    waiting = [parent]
    while waiting:
        for child, key in _children(schema, waiting.pop()):
            if key.on_delete in _CASCADES and child not in found:
                found.append(child)
                if key.on_delete == "CASCADE":
                    waiting.append(child)
    return found


def _is_restored(subject: Subject, drop: Step, child: str) -> bool:
    """Say whether the file inserts the rows of a child again after the drop, or drops the child as well."""
    steps = subject.replay.of(drop.source)
    place = next(number for number, step in enumerate(steps) if step is drop)
    for step in steps[place + 1 :]:
        tokens = step.statement.tokens
        # its rows are told of with its own DROP TABLE
        if fold(_dropped(step)) == fold(child) and not _is_copied(subject, step, child):
            return True
        is_into = step.statement.verb in ("INSERT", "REPLACE") and "SELECT" in {
            token.upper for token in tokens
        }
        if is_into and any(fold(unquote(token)) == fold(child) for token in tokens[2:5]):
            return True
    return False


def _old_drops(subject: Subject, source: Source) -> Iterator[tuple[Step, str]]:
    """Yield each DROP TABLE of a table that the file did not make itself."""
    start = subject.replay.starts.get(source.name)
    for step in subject.replay.of(source):
        name = _dropped(step)
        if name and start is not None and _origin(subject, source, step, name):
            yield step, name


def _origin(subject: Subject, source: Source, until: Step, name: str) -> bool:
    """Say whether a table was there before the file, under this name or one that the file changed."""
    there = {fold(table.name) for table in subject.replay.starts[source.name].tables}
    for step in subject.replay.of(source):
        if step is until:
            break
        if step.statement.verb == "ALTER" and step.before is not step.after:
            old = {fold(table.name) for table in step.before.tables}
            new = {fold(table.name) for table in step.after.tables}
            for gone, come in zip(old - new, new - old):
                if gone in there:
                    there = (there - {gone}) | {come}
    return fold(name) in there


def _ignored_pragma(subject: Subject) -> Iterator[Hit]:
    # prisma runs a file outside of transactions, so there the PRAGMA holds
    is_in_vain = subject.is_sqlite and subject.layout != "prisma"
    for source in subject.sources if is_in_vain else ():
        pragma = next((one for one in source.statements if _is_pragma(one)), None)
        if pragma is None:
            continue
        lost: list[str] = []
        blocked = False
        for step, name in _old_drops(subject, source):
            cascaded = _cascaded(step.before, name)
            lost += [
                child for child in cascaded if child not in lost and not _is_restored(subject, step, child)
            ]
            blocked = blocked or any(child not in cascaded for child, _ in _children(step.before, name))
        begins = [one.line for one in source.statements if one.verb in ("BEGIN", "SAVEPOINT")]
        is_outside = subject.layout == "numbered" or any(
            one.verb in ("COMMIT", "END") for one in source.statements if one.line < pragma.line
        )
        if is_outside and begins and begins[0] > pragma.line:
            # the file opens its transaction itself, after the PRAGMA, which so holds
            continue
        message = "PRAGMA foreign_keys is ignored in the transaction in which the file is run"
        if lost:
            message += f": DROP TABLE deletes or changes rows of {', '.join(lost)}"
        severity = "error" if lost or blocked or begins else "warning"
        yield Hit(source.path, pragma.line, message, severity=severity)


def _lost_rows(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        if source.name in subject.applied:
            continue
        has_pragma = any(_is_pragma(one) for one in source.statements)
        for step, name in _old_drops(subject, source):
            line = step.statement.line
            cascaded = _cascaded(step.before, name) if subject.enforces_foreign_keys else []
            cascaded = [child for child in cascaded if not _is_restored(subject, step, child)]
            if cascaded and not has_pragma:
                message = f"DROP TABLE {name} also deletes or changes rows of {', '.join(cascaded)}"
                yield Hit(source.path, line, message)
            if not _is_copied(subject, step, name):
                yield from _lost(subject, source, name, line)
    yield from _lost_rows_of_events(subject)


def _lost(subject: Subject, source: Source, name: str, line: int) -> Iterator[Hit]:
    """Tell of rows that are dropped: an error where there are some, or the table is made anew at once."""
    end = subject.replay.end_of(source)
    is_anew = end.table(name) is not None and subject.replay.starts[source.name].table(name) is not None
    rows = _rows_in_replay(subject, source, name) or _rows_in_database(subject, name)
    if rows == 0:
        return
    is_meant = source.says(name, LOOSENING)
    if rows:
        message = f"DROP TABLE {name} loses its rows ({rows}), which nothing has copied"
        severity = _severity(is_meant=is_meant and not is_anew, has_rows=True)
        yield Hit(source.path, line, message, severity=severity)
    elif is_anew:
        yield Hit(source.path, line, f"DROP TABLE {name} loses its rows: the new {name} gets no copy of them")
    else:
        message = f"DROP TABLE {name} loses its rows, if it has any"
        yield Hit(source.path, line, message, severity=_severity(is_meant=is_meant, has_rows=False))


def _rows_in_replay(subject: Subject, source: Source, name: str) -> int:
    connection = open_memory(subject.replay.states[source.name])
    try:
        return int(connection.execute(f"SELECT count(*) FROM {quote(name)}").fetchone()[0])
    except sqlite3.Error:
        return 0
    finally:
        connection.close()


def _rows_in_database(subject: Subject, name: str) -> int | None:
    """Count a table's rows in the database, up to a million; None without database or table."""
    engine = subject.engine
    if engine is None or not engine.columns(name):
        return None
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {engine.dialect.quote(name)} LIMIT 1000000) AS counted"
    return int(engine.fetch_all(sql)[0][0])


def _is_copied(subject: Subject, step: Step, name: str) -> bool:
    """Say whether a statement before this one takes rows from the table into another."""
    for other in subject.replay.steps:
        if other is step:
            return False
        if other.statement.verb in _COPIES and _reads(other.statement, name):
            return True
    return False


def _reads(statement: Statement, name: str) -> bool:
    """Say whether rows of a table go into another one by a statement."""
    tokens = statement.tokens
    words = [token.upper for token in tokens]
    if words[0] == "CREATE" and "TABLE" not in words[:3]:
        return False
    if words[0] == "SELECT" and "INTO" not in words:
        return False
    sources = {"UPDATE": ("FROM",), "INSERT": ("SELECT", "TABLE", "WITH"), "REPLACE": ("SELECT", "WITH")}
    first = sources.get(words[0], ("SELECT",))
    start = next((place for place, word in enumerate(words) if word in first), None)
    # what a query moves, it may also take by DELETE ... RETURNING
    start = 0 if words[0] == "WITH" and "INSERT" in words else start
    return start is not None and any(
        token.kind in ("word", "identifier") and fold(unquote(token)) == fold(name)
        for token in tokens[start:]
    )


def _lost_rows_of_events(subject: Subject) -> Iterator[Hit]:
    for event in subject.model.events:
        change = event.change
        if change.kind != "drop table" or event.table is None or event.is_new:
            continue
        if event.source.name in subject.applied:
            continue
        earlier = [one for one in _statements_until(subject, event) if one.verb in _COPIES]
        rows = _rows_in_database(subject, change.name)
        if rows == 0 or any(_reads(one, change.name) for one in earlier):
            continue
        seeded = any(
            one.change.kind == "insert" and one.change.table == change.name for one in subject.model.events
        )
        message = f"DROP TABLE {change.name} loses its rows"
        _, after = subject.model.around[event.source.name]
        is_meant = event.source.says(change.name, LOOSENING) and change.name not in after.tables
        has_rows = rows or seeded or change.name in after.tables
        severity = _severity(is_meant=is_meant, has_rows=bool(has_rows))
        yield Hit(event.source.path, change.line, message, severity=severity)


def _severity(*, is_meant: bool, has_rows: bool) -> Severity:
    """Weigh a loss of rows: that it is said does not take the rows away."""
    if has_rows:
        return "warning" if is_meant else "error"
    return "info" if is_meant else "warning"


def _statements_until(subject: Subject, event: Event) -> Iterator[Statement]:
    for source in subject.sources:
        for statement in source.statements:
            for one in unfolded(statement):
                if one == event.inner:
                    return
                yield one


def _trials(subject: Subject) -> Iterator[tuple[Source, Trial]]:
    for source in subject.sources if subject.is_sqlite else ():
        if not source.is_sql or not source.statements:
            continue
        steps = subject.replay.of(source)
        if any(step.error for step in steps):
            continue
        trial = try_with_rows(
            source,
            subject.replay.starts[source.name],
            subject.replay.states[source.name],
            enforces_foreign_keys=subject.enforces_foreign_keys,
        )
        if trial is not None:
            yield source, trial


def needs_rows(error: str) -> bool:
    """Say whether it is rows that make SQLite refuse a statement with this message."""
    return "constraint failed" in error or error.startswith(_ROWS_REFUSED)


def _needs_empty(subject: Subject) -> Iterator[Hit]:
    for step in subject.replay.steps:
        if step.error and needs_rows(step.error):
            message = f"fails on the rows that the files themselves insert: {step.error}"
            yield Hit(step.source.path, step.statement.line, message)
    for source, trial in _trials(subject):
        if trial.failed is not None and _is_certain(subject, source, trial.failed, trial.error):
            message = f"runs on an empty table only; with rows SQLite says: {trial.error}"
            yield Hit(source.path, trial.failed.line, message)
        start = subject.replay.starts[source.name]
        for table, parent, column in trial.orphans:
            # whether what a column held before has a row there, only the rows can tell
            if _had_column(start, column):
                continue
            line = _line_of_word(source, column)
            message = f"leaves rows of {table} whose {column} refers to no row of {parent}"
            yield Hit(source.path, line, message)
    yield from _needs_empty_of_events(subject)


def _had_column(schema: Schema, name: str) -> bool:
    return any(table.column(name) is not None for table in schema.tables)


def _is_certain(subject: Subject, source: Source, statement: Statement, error: str) -> bool:
    """Say whether nearly any row would be refused, and not just the sample's values."""
    if error.startswith("FOREIGN KEY constraint failed"):
        # that the PRAGMA is ignored is told already
        return _is_drop(statement) and not any(_is_pragma(one) for one in source.statements)
    if error == "CHECK constraint failed":
        # so without a name it comes from ADD COLUMN
        return True
    if error.startswith("CHECK constraint failed: "):
        start, end = subject.replay.starts[source.name], subject.replay.end_of(source)
        told = " ".join(error.partition(": ")[2].split())
        used = {
            fold(unquote(token))
            for table in end.tables
            for check in table.checks
            if told in (check.name, " ".join(check.expression.split()))
            for token in significant(tokenize(check.expression))
        }
        columns = {
            column.name for table in end.tables for column in table.columns if fold(column.name) in used
        }
        return bool(columns) and not any(_had_column(start, column) for column in columns)
    return error.startswith(("NOT NULL constraint failed", "UNIQUE constraint failed", *_ROWS_REFUSED))


def _line_of_word(source: Source, word: str) -> int:
    for statement in source.statements:
        if any(fold(unquote(token)) == fold(word) for token in statement.tokens):
            return statement.line
    return source.statements[0].line


def _needs_empty_of_events(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        bare: dict[tuple[str, str], bool] = {}
        for event in subject.model.of(source):
            change = event.change
            key = (change.table, change.name)
            if event.table is None or event.is_new:
                continue
            if change.kind == "add column":
                bare[key] = bool(change.default)
                if not _is_emptied(event):
                    yield from _added_column(event)
            elif change.kind == "set not null" and bare.get(key) is False and not _is_filled(event):
                message = f"{change.table}.{change.name} is NULL in every row, so SET NOT NULL fails"
                yield Hit(source.path, change.line, message, "fill the column with UPDATE first")
            elif change.kind == "add constraint":
                for name in (name for table, name in bare if table == change.table and not bare[table, name]):
                    failing = first_failing(checks_of(change.constraints), name, "NULL", [*event.columns])
                    if failing and not _is_filled(replace(event, change=replace(change, name=name))):
                        message = (
                            f"{change.table}.{name} is NULL in every row, which CHECK ({failing}) refuses"
                        )
                        yield Hit(source.path, change.line, message, "fill the column with UPDATE first")


def _before_in_file(event: Event) -> Iterator[Statement]:
    for statement in event.source.statements:
        for one in unfolded(statement):
            if one == event.inner:
                return
            yield one


def _is_emptied(event: Event) -> bool:
    """Say whether the file has deleted all rows of the table before."""
    for one in _before_in_file(event):
        words = [token.upper for token in one.tokens]
        names = {name_of(token) for token in one.tokens if token.kind in ("word", "identifier")}
        is_whole = words[0] == "TRUNCATE" or (words[0] == "DELETE" and "WHERE" not in words)
        if is_whole and event.change.table.rpartition(".")[2] in names:
            return True
    return False


def _is_filled(event: Event) -> bool:
    """Say whether the file wrote to the column before: by UPDATE, in a block, a query, or by a call."""
    wanted = {event.change.table.rpartition(".")[2], event.change.name}
    if event.statement is not event.inner and not is_plain(event.statement):
        return True
    for one in _before_in_file(event):
        if one.verb in ("UPDATE", "WITH", "MERGE") and wanted <= _words_in(one):
            return True
    for statement in takewhile(lambda one: one is not event.statement, event.source.statements):
        if statement.verb == "DO" and wanted <= _words_in(statement):
            return True
        # what a call does stands elsewhere
        if statement.verb == "CALL" or (statement.verb == "SELECT" and "(" in statement.text):
            return True
    return _is_emptied(event)


def _words_in(statement: Statement) -> set[str]:
    """Give the names in a statement, those in a body in dollars too."""
    return {word.strip('"') for word in re.findall(r'"[^"]+"|\w+', statement.text)}


def _added_column(event: Event) -> Iterator[Hit]:
    change = event.change
    kinds = {constraint.kind for constraint in change.constraints}
    is_not_null = change.is_not_null or "PRIMARY" in kinds
    if is_not_null and not change.default and not change.is_rewriting and "serial" not in change.other:
        message = f"{change.table}.{change.name} is NOT NULL and has no default: this fails on the first row"
        yield Hit(event.source.path, change.line, message)
    elif change.default and kinds & {"UNIQUE", "PRIMARY"} and len(change.default) == 1:
        message = f"{change.table}.{change.name} is unique with one default: this fails on the second row"
        yield Hit(event.source.path, change.line, message)


def _positional(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        for statement in source.statements:
            words = [token.upper for token in statement.tokens]
            verb = next((place for place, word in enumerate(words) if word in ("INSERT", "REPLACE")), None)
            if verb is None or words[0] not in ("INSERT", "REPLACE", "WITH") or "SELECT" not in words[verb:]:
                continue
            place = words.index("SELECT", verb)
            star = place + (3 if words[place + 2 : place + 3] == ["."] else 1)
            if words[star : star + 2] != ["*", "FROM"]:
                continue
            line = line_at(statement, statement.tokens[place])
            message = "SELECT * copies by position: a column in another place gets another's values"
            severity = "info" if _is_alike(subject, statement, star - 1) else None
            yield Hit(source.path, line, message, severity=severity)


def _is_alike(subject: Subject, statement: Statement, place: int) -> bool:
    """Say whether both tables have the same columns in the same order, as far as the replay tells."""
    step = next((one for one in subject.replay.steps if one.statement is statement), None)
    words = [token.upper for token in statement.tokens]
    if step is None or "INTO" not in words[:4] or len(words) <= place + 3:
        return False
    new = step.before.table(unquote(statement.tokens[words.index("INTO") + 1]))
    old = step.before.table(unquote(statement.tokens[place + 3]))
    if new is None or old is None:
        return False
    return [fold(column.name) for column in new.columns] == [fold(column.name) for column in old.columns]


RULES = (
    Rule(
        "D001",
        "error",
        "PRAGMA foreign_keys where it is ignored",
        "save the children's rows and insert them again after the renaming, or first rebuild the children "
        "without the reference",
        _ignored_pragma,
    ),
    Rule(
        "D002",
        "error",
        "DROP TABLE of rows that nothing has copied",
        "copy the rows first (INSERT INTO ... SELECT), or say that it is meant: -- datalayer:allow D002",
        _lost_rows,
    ),
    Rule(
        "D003",
        "error",
        "a statement that works only on an empty table",
        "give a constant default, or add it nullable, fill it, and make it NOT NULL or UNIQUE after that",
        _needs_empty,
    ),
    Rule(
        "D004",
        "warning",
        "rows copied by the position of their columns",
        "name the columns on both sides: INSERT INTO new (a, b) SELECT a, b FROM old",
        _positional,
    ),
)
