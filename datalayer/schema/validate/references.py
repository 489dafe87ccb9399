"""X001 to X003, X005, X006: names that lead nowhere, and names that are too long."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from datalayer.schema.declaration import read_trigger
from datalayer.schema.reader import Unexpected
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold, quote, split, unquote
from datalayer.schema.validate.postgres_change import Change, Constraint
from datalayer.schema.validate.postgres_model import Event
from datalayer.schema.validate.replay import Step
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import line_at
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES", "line_of_name", "nearest", "unknown_name"]

_UNKNOWN = re.compile(
    r"no such (?:table|column|index|view|trigger): (?P<name>.+)"
    r"|table (?P<table>\S+) has no column named (?P<column>.+)"
    r"|unknown column \"(?P<foreign>.+)\" in foreign key definition"
    r"|table .+ has no column named (?P<last>.+)"
)
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class _Link:
    """A foreign key of the last schema that finds no parent, or found it late."""

    step: Step
    table: str
    parent: str


def nearest(name: str, known: Iterable[str]) -> str:
    """Give ` (did you mean "x"?)` with the known name that is nearest, else an empty string."""
    by_fold: dict[str, str] = {}
    for one in known:
        by_fold.setdefault(fold(one), one)
    wanted = fold(name).rpartition(".")[2]
    found = by_fold.get(wanted)
    if found is None:
        close = get_close_matches(wanted, by_fold, n=1, cutoff=0.6)
        found = by_fold[close[0]] if close else None
    return f' (did you mean "{found}"?)' if found else ""


def _is_slip(name: str, hint: str) -> bool:
    """Say whether a name is a known one spelt wrongly, and not a thing that something unseen has made.

    A part (events_2024), a copy (users_old) and a temporary table are called like another one and more.
    """
    wanted, known = fold(name).rpartition(".")[2], fold(hint.partition('"')[2].rpartition('"')[0])
    if not known:
        return False
    longer, shorter = (wanted, known) if len(wanted) > len(known) else (known, wanted)
    is_more = {*re.split(r"[_\d]+", shorter)} < {*re.split(r"[_\d]+", longer)}
    is_numbered = re.sub(r"\d+", "", wanted) == re.sub(r"\d+", "", known)
    is_near = bool(get_close_matches(wanted, [known], n=1, cutoff=0.75))
    return wanted == known or (is_near and not is_more and not is_numbered)


def unknown_name(error: str) -> str:
    """Give the name that SQLite's message says is unknown, else an empty string."""
    match = _UNKNOWN.match(error)
    if match is None:
        return ""
    name = next(group for group in (match["name"], match["column"], match["foreign"], match["last"]) if group)
    return name.strip().strip('"').removeprefix("main.")


def _unknown(subject: Subject) -> Iterator[Hit]:
    yield from _unknown_in_steps(subject)
    yield from _quoted_words(subject)
    yield from _broken_objects(subject)
    yield from _missing_parents(subject)
    hits = list(_unknown_in_events(subject))
    yield from hits
    yield from _unknown_to_server(subject, {(hit.file, hit.line) for hit in hits})


def _unknown_in_steps(subject: Subject) -> Iterator[Hit]:
    failed: set[str] = set()
    told: set[str] = set()
    is_open = False
    for step in subject.replay.steps:
        if step.error is None:
            continue
        name = unknown_name(step.error)
        if name and name in told and step.error.startswith("no such table"):
            continue
        if step.statement.verb in ("CREATE", "ALTER"):
            # what should have been made is missing further on; that is no fault of the statements there
            failed |= {fold(unquote(token)) for token in step.statement.tokens if token.kind != "operator"}
        elif fold(name.rpartition(".")[2]) in failed:
            continue
        hint = nearest(name, _names(step.before, step.error)) if name else ""
        is_certain = step.is_certain and not is_open
        noun = "column" if "column" in step.error else "table"
        # a folder that begins with a table which it does not make has its beginning elsewhere: told once
        is_open = is_open or (noun == "table" and not subject.replay.starts[step.source.name].tables)
        if name and (is_certain or _is_slip(name, hint)):
            told.add(name)
            line = line_of_name(step, name)
            yield Hit(step.source.path, line, f'there is no {noun} "{name}"{hint}')


def _names(schema: Schema, error: str) -> list[str]:
    """Give the names among which an unknown one was probably meant."""
    if "column" in error:
        return [column.name for table in schema.tables for column in table.columns]
    indexes = [index.name for table in schema.tables for index in table.indexes]
    return [*(table.name for table in schema.tables), *(view.name for view in schema.views), *indexes]


def line_of_name(step: Step, name: str) -> int:
    """Give the line on which a statement first says a name; its own where it does not."""
    wanted = fold(name.rpartition(".")[2])
    for token in step.statement.tokens:
        if token.kind in ("word", "identifier") and fold(unquote(token)) == wanted:
            return line_at(step.statement, token)
    return step.statement.line


def _quoted_words(subject: Subject) -> Iterator[Hit]:
    """Find names in double quotes that SQLite took as strings, since there is no such column."""
    for step in subject.replay.steps:
        words = [token.upper for token in step.statement.tokens[:3]]
        if not step.changed_schema or step.statement.verb != "CREATE" or "INDEX" not in words:
            continue
        old = {fold(index.name) for table in step.before.tables for index in table.indexes}
        for table in step.after.tables:
            for index in table.indexes:
                if fold(index.name) in old:
                    continue
                for term in index.terms:
                    if term.column is not None and not _has_column(table, term.column):
                        hint = nearest(term.column, [column.name for column in table.columns])
                        message = f'there is no column "{term.column}" in {table.name}{hint}'
                        yield Hit(step.source.path, line_of_name(step, term.column), message)


def _has_column(table: Table, name: str) -> bool:
    return table.column(name) is not None or fold(name) in ("rowid", "oid", "_rowid_")


def _broken_objects(subject: Subject) -> Iterator[Hit]:
    """Compile the views and triggers that are there in the end: SQLite does so only when they are used."""
    replay = subject.replay
    for view in replay.schema.views:
        error = _compile(replay.connection, f"SELECT * FROM {quote(view.name)}")
        yield from _object_hit(subject, "view", view.name, error)
    for trigger in replay.schema.triggers:
        owner = replay.schema.table(trigger.table)
        # one on a view would only tell of the view once more
        if owner is None:
            continue
        try:
            text = read_trigger(trigger.sql)
        except Unexpected:
            continue
        table = quote(trigger.table)
        column = text.of_columns[0] if text.of_columns else owner.columns[0].name
        statement = {
            "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
            "DELETE": f"DELETE FROM {table}",
            "UPDATE": f"UPDATE {table} SET {quote(column)} = {quote(column)}",
        }[text.event]
        yield from _object_hit(subject, "trigger", trigger.name, _compile(replay.connection, statement))


def _compile(connection: sqlite3.Connection, sql: str) -> str | None:
    try:
        connection.execute(f"EXPLAIN {sql}").fetchall()
    except sqlite3.Error as exc:
        return str(exc)
    return None


def _object_hit(subject: Subject, noun: str, name: str, error: str | None) -> Iterator[Hit]:
    missing = unknown_name(error or "")
    step = subject.replay.maker_of(name)
    if not error or not missing or step is None or not step.is_certain:
        return
    hint = nearest(missing.rpartition(".")[2], _names(subject.replay.schema, error))
    what = "column" if "column" in error else "table"
    message = f'there is no {what} "{missing}", which the {noun} {name} uses{hint}'
    yield Hit(step.source.path, line_of_name(step, missing), message)


def _links(subject: Subject) -> Iterator[_Link]:
    """Yield each foreign key with the step that made it."""
    for step in subject.replay.steps:
        if step.before is step.after:
            continue
        earlier = {fold(table.name): table for table in step.before.tables}
        for table in step.after.tables:
            before = earlier.get(fold(table.name))
            if before is not None and before.sql == table.sql:
                continue
            old = {fold(key.parent) for key in before.foreign_keys} if before else set[str]()
            for key in table.foreign_keys:
                if fold(key.parent) not in old:
                    old.add(fold(key.parent))
                    yield _Link(step, table.name, key.parent)


def _lost_links(subject: Subject) -> Iterator[_Link]:
    """Yield the foreign keys of the last schema that have no parent, each where it was made last."""
    last = subject.replay.schema
    made = {(fold(link.table), fold(link.parent)): link for link in _links(subject)}
    for table in last.tables:
        for key in table.foreign_keys:
            link = made.get((fold(table.name), fold(key.parent)))
            if link is not None and last.table(key.parent) is None and link.step.is_certain:
                yield link


def _was_there(subject: Subject, name: str) -> bool:
    return any(step.after.table(name) is not None for step in subject.replay.steps)


def _missing_parents(subject: Subject) -> Iterator[Hit]:
    for link in dict.fromkeys(_lost_links(subject)):
        if _was_there(subject, link.parent):
            continue
        known = [table.name for table in subject.replay.schema.tables]
        message = f'{link.table} refers to "{link.parent}", and there is no such table'
        line = line_of_name(link.step, link.parent)
        yield Hit(link.step.source.path, line, f"{message}{nearest(link.parent, known)}")


def _made_later(subject: Subject) -> Iterator[Hit]:
    last = subject.replay.schema
    for link in _links(subject):
        step = link.step
        if (
            subject.replay.end_of(step.source).table(link.parent) is not None
            or last.table(link.table) is None
        ):
            continue
        maker = subject.replay.maker_of(link.parent)
        places = [source.name for source in subject.sources]
        is_later = maker is not None and places.index(maker.source.name) > places.index(step.source.name)
        if is_later and maker is not None and last.table(link.parent) is not None:
            message = f"{link.table} refers to {link.parent}, which only {maker.source.name} makes"
            yield Hit(step.source.path, line_of_name(step, link.parent), message)
    for event, key in _foreign_keys(subject):
        made = subject.model.made.get(key.parent)
        if key.parent not in event.known_tables and made is not None and key.parent != event.change.table:
            message = f"{event.change.table} refers to {key.parent}, which only {made[0].name} makes"
            yield Hit(event.source.path, event.change.line, message, severity="error")


def _foreign_keys(subject: Subject) -> Iterator[tuple[Event, Constraint]]:
    for event in subject.model.events:
        for constraint in event.change.constraints:
            if constraint.kind == "FOREIGN":
                yield event, constraint


def _to_dropped(subject: Subject) -> Iterator[Hit]:
    for link in dict.fromkeys(_lost_links(subject)):
        if not _was_there(subject, link.parent):
            continue
        step = _dropper(subject, link.parent) or link.step
        message = f"{link.table} refers to {link.parent}, which is gone in the end"
        yield Hit(step.source.path, step.statement.line, message)


def _dropper(subject: Subject, name: str) -> Step | None:
    for step in reversed(subject.replay.steps):
        if step.before.table(name) is not None and step.after.table(name) is None:
            return step
    return None


def _unknown_in_events(subject: Subject) -> Iterator[Hit]:
    schemas = {event.change.name for event in subject.model.events if event.change.kind == "create schema"}
    is_open = False
    for event in subject.model.events:
        for message, hint, line in _unknown_of(event, schemas, subject):
            is_certain = event.is_certain and not is_open
            is_open = is_open or not event.known_tables
            if is_certain or _is_slip(message.split('"')[1], hint):
                yield Hit(event.source.path, line, f"{message}{hint}")


def _unknown_to_server(subject: Subject, told: set[tuple[str, int]]) -> Iterator[Hit]:
    """Ask the server, where one was given: it also knows the names within queries."""
    known = [*subject.model.known.tables]
    known += [column for table in subject.model.known.tables.values() for column in table.columns]
    for refusal in subject.answer.refusals:
        if (refusal.source.path, refusal.line) not in told:
            name = re.search(r'"([^"]+)"', refusal.message)
            hint = nearest(name[1], known) if name else ""
            yield Hit(refusal.source.path, refusal.line, f"{refusal.message}{hint}")


def _unknown_of(event: Event, schemas: set[str], subject: Subject) -> Iterator[tuple[str, str, int]]:
    change = event.change
    for key in change.constraints:
        made_later = key.parent in subject.model.made
        if key.kind == "FOREIGN" and not made_later and not _is_known(event, key.parent, schemas):
            is_own = key.parent == change.table
            if not is_own:
                yield _no_table(event, key.parent, change.line)
    for parent, column, known in event.unknown_keys:
        yield f'there is no column "{column}" in {parent}', nearest(column, known), change.line
    if change.kind in _TABLE_CHANGES:
        if change.is_conditional and change.kind != "create index":
            return
        if not _is_known(event, change.table, schemas):
            yield _no_table(event, change.table, change.line)
            return
    if event.table is None or event.table.is_open:
        return
    names = (
        [change.name] if change.kind in (*_COLUMN_CHANGES, "comment") and not change.is_conditional else []
    )
    names += change.columns if change.kind in ("insert", "update") else []
    names += _index_columns(change) if change.kind == "create index" else []
    for constraint in change.constraints if change.kind == "add constraint" else ():
        names += constraint.columns
    for name in names:
        if name and name not in event.columns:
            hint = nearest(name, event.columns)
            yield f'there is no column "{name}" in {change.table}', hint, change.line


_TABLE_CHANGES_LIST = (
    "alter table,create index,create trigger,insert,update,delete,merge,truncate,drop table,comment"
)
_TABLE_CHANGES = frozenset(_TABLE_CHANGES_LIST.split(","))
_COLUMN_CHANGES = frozenset(
    [
        "drop column",
        "rename column",
        "set not null",
        "drop not null",
        "set default",
        "drop default",
        "set type",
    ]
)


def _index_columns(change: Change) -> list[str]:
    return [
        term.split()[0]
        for term in change.columns
        if re.fullmatch(r"\w+( (ASC|DESC|NULLS|FIRST|LAST))*", term)
    ]


def _is_known(event: Event, name: str, schemas: set[str]) -> bool:
    schema, _, _ = name.rpartition(".")
    # other schemas belong to others (auth.users), unless the files make them
    return (
        name in event.known_tables
        or name in event.known_relations
        or (schema != "" and schema not in schemas)
        # or the search path leads there
        or (schema == "" and any(one.endswith(f".{name}") for one in event.known_tables))
    )


def _no_table(event: Event, name: str, line: int) -> tuple[str, str, int]:
    return f'there is no table "{name}"', nearest(name, event.known_tables), line


def _seeds(subject: Subject) -> Iterator[Path]:
    root = subject.folder.root
    if not isinstance(root, Path):
        return
    for folder in (root, root / "seeds", root.parent / "seeds", root.parent / "seed"):
        if folder.is_dir():
            yield from sorted(
                path for path in folder.glob("*.sql") if folder != root or "seed" in path.stem.lower()
            )


def _absent_in_seed(subject: Subject) -> Iterator[Hit]:
    own = {source.path for source in subject.sources}
    for path in _seeds(subject):
        if str(path) in own or not subject.is_sqlite:
            continue
        for statement in split(path.read_text(encoding="utf-8-sig", errors="replace")):
            if statement.verb not in ("INSERT", "REPLACE", "UPDATE", "DELETE"):
                continue
            error = _compile(subject.replay.connection, statement.text)
            name = unknown_name(error or "")
            if error and name:
                noun = "column" if "column" in error else "table"
                hint = nearest(name, _names(subject.replay.schema, error))
                yield Hit(str(path), statement.line, f'the schema has no {noun} "{name}"{hint}')


def _too_long(subject: Subject) -> Iterator[Hit]:
    seen: set[str] = set()
    for source in subject.sources:
        for statement in source.statements:
            for token in statement.tokens:
                name = unquote(token)
                if (
                    token.kind in ("word", "identifier")
                    and len(name.encode()) > _LONGEST_NAME
                    and name not in seen
                ):
                    seen.add(name)
                    size = len(name.encode())
                    message = f"PostgreSQL cuts {name} ({size} bytes) to {_LONGEST_NAME} bytes"
                    yield Hit(source.path, line_at(statement, token), message)


RULES = (
    Rule(
        "X001",
        "error",
        "an unknown table or column",
        "correct the name, or make it in a file before",
        _unknown,
    ),
    Rule(
        "X002",
        "warning",
        "a foreign key to a table that a later file makes",
        "make the table first, or add the reference in the later file",
        _made_later,
    ),
    Rule(
        "X003",
        "error",
        "a foreign key to a table that is gone",
        "drop the reference too, or rebuild the table under its own name (create new, copy, drop, rename)",
        _to_dropped,
    ),
    Rule("X005", "warning", "seed SQL names what the schema lacks", "correct the seed file", _absent_in_seed),
    Rule(
        "X006",
        "warning",
        "a name longer than 63 bytes",
        "shorten it; two long names may become one",
        _too_long,
    ),
)
