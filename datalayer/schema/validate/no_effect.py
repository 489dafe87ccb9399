"""N001 to N005: statements and files that do nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from datalayer.schema.difference import differences
from datalayer.schema.numbered.noop import NoOp, table_query
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.tokens import Statement, Token, fold, quote, unquote
from datalayer.schema.validate.postgres_change import Change
from datalayer.schema.validate.postgres_model import Event
from datalayer.schema.validate.replay import Step, open_memory
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

_MAKES_ROWS_LIST = "INSERT UPDATE DELETE REPLACE WITH SELECT COPY CALL DO REINDEX ANALYZE"
_MAKES_ROWS = frozenset(_MAKES_ROWS_LIST.split())


def _noun_and_name(statement: Statement) -> tuple[str, str, int]:
    """Give what a CREATE IF NOT EXISTS or DROP IF EXISTS is about, and where its IF stands."""
    words = [token.upper for token in statement.tokens]
    place = words.index("IF") if "IF" in words[:6] else 0
    if not place:
        return "", "", 0
    noun = next((word for word in words[:place] if word in ("TABLE", "INDEX", "VIEW", "TRIGGER")), "")
    start = place + (3 if words[0] == "CREATE" else 2)
    if start + 2 < len(words) and words[start + 1] == ".":
        start += 2
    return (noun, unquote(statement.tokens[start]), place) if start < len(words) else ("", "", 0)


def _idle(subject: Subject) -> Iterator[tuple[Step, str, str]]:
    """Yield CREATE IF NOT EXISTS that found something of that name, with the noun and the name."""
    for step in subject.replay.steps:
        if step.statement.verb != "CREATE" or step.error or step.before is not step.after:
            continue
        noun, name, _ = _noun_and_name(step.statement)
        if noun and not any(token.upper in ("TEMP", "TEMPORARY") for token in step.statement.tokens[:3]):
            yield step, noun, name


def _is_same(subject: Subject, step: Step, noun: str, name: str) -> bool:
    """Say whether the statement would have made what is there: made anew beside everything else."""
    there = _shape(step.before, name)
    query = table_query(_tokens_without_condition(step.statement))
    if query is not None:
        return _is_like_query(step.before, name, query)
    connection = open_memory()
    try:
        _rebuild(connection, step.before, without=name)
        connection.execute(_without_condition(step.statement))
        return there is not None and _shape(read(connection), name) == there
    except sqlite3.Error:
        return False
    finally:
        connection.close()


def _is_like_query(schema: Schema, name: str, query: str) -> bool:
    """Compare the columns of a table with those of a query, which tells nothing else of a table."""
    table = schema.table(name)
    connection = open_memory()
    try:
        _rebuild(connection, schema, without="")
        wanted = connection.execute(f"SELECT * FROM ({query}) LIMIT 0").description
    except sqlite3.Error:
        # SQLite itself does not compile it any more
        return True
    finally:
        connection.close()
    return table is not None and [fold(one.name) for one in table.columns] == [fold(one[0]) for one in wanted]


def _rebuild(connection: sqlite3.Connection, schema: Schema, *, without: str) -> None:
    for table in schema.tables:
        if fold(table.name) != fold(without) and table.kind != "shadow":
            connection.execute(table.sql)
            for index in table.indexes:
                if fold(index.name) != fold(without):
                    connection.execute(index.sql)
    for other in (*schema.views, *schema.triggers):
        if fold(other.name) != fold(without) and fold(getattr(other, "table", "")) != fold(without):
            connection.execute(other.sql)


def _tokens_without_condition(statement: Statement) -> list[Token]:
    _, _, place = _noun_and_name(statement)
    return [*statement.tokens[:place], *statement.tokens[place + 3 :]]


def _without_condition(statement: Statement) -> str:
    _, _, place = _noun_and_name(statement)
    start = statement.tokens[0].start
    first, last = statement.tokens[place], statement.tokens[place + 2]
    return statement.text[: first.start - start] + statement.text[last.end - start :]


def _shape(schema: Schema, name: str) -> tuple[object, ...] | None:
    return next((shape for key, shape in schema.shapes().items() if key[1] == fold(name)), None)


def _does_nothing(subject: Subject) -> Iterator[Hit]:
    for step, noun, name in _idle(subject):
        if not _is_same(subject, step, noun, name):
            yield Hit(step.source.path, step.statement.line, _message(noun, name, "another one"))
    made_twice = (*_idle_events(subject, "create table"), *_idle_events(subject, "create relation"))
    for event, change in made_twice:
        if change.kind == "create relation" or not _is_same_table(event):
            yield Hit(event.source.path, change.line, _message("TABLE", change.name, "another one"))
    for source, found in subject.answer.no_ops:
        if found.result == "differs" and not found.object.startswith("index "):
            yield Hit(source.path, found.line, _said(found, "another one"))


def _does_nothing_harmlessly(subject: Subject) -> Iterator[Hit]:
    for step, noun, name in _idle(subject):
        if _is_same(subject, step, noun, name):
            yield Hit(step.source.path, step.statement.line, _message(noun, name, "the same one"))
    for event, change in _idle_events(subject, "create table"):
        if _is_same_table(event):
            yield Hit(event.source.path, change.line, _message("TABLE", change.name, "the same one"))
    for event, change in _idle_events(subject, "create index"):
        if _is_same_index(event):
            yield Hit(event.source.path, change.line, _message("INDEX", change.name, "the same one"))
    for source, found in subject.answer.no_ops:
        if found.result == "same":
            yield Hit(source.path, found.line, _said(found, "the same one"))


def _message(noun: str, name: str, which: str) -> str:
    return f"CREATE {noun} IF NOT EXISTS {name} does nothing: {which} is there already"


def _said(found: NoOp, which: str) -> str:
    return f"{found.statement} does nothing: {which}, {found.object}, is there already"


def _idle_events(subject: Subject, kind: str) -> Iterator[tuple[Event, Change]]:
    """Yield what the files make twice, by what they say, as far as no server has run it."""
    for event in subject.model.events:
        is_idle = event.change.kind == kind and event.change.is_conditional and event.existing is not None
        if is_idle and (event.source.path, event.statement.line) not in subject.answer.tried:
            yield event, event.change


def _is_same_table(event: Event) -> bool:
    assert event.existing is not None
    return [_column(one) for one in event.existing.inner] == [_column(one) for one in event.change.inner]


def _column(column: Change) -> tuple[object, ...]:
    return (column.name, column.other, column.is_not_null, tuple(token.text for token in column.default))


def _is_same_index(event: Event) -> bool:
    old, new = event.existing, event.change
    assert old is not None
    return (old.table, old.columns, old.is_unique, old.other, old.labels) == (
        new.table,
        new.columns,
        new.is_unique,
        new.other,
        new.labels,
    )


def _other_index(subject: Subject) -> Iterator[Hit]:
    for event, change in _idle_events(subject, "create index"):
        if not _is_same_index(event) and event.existing is not None:
            had = f"{event.existing.table} ({', '.join(event.existing.columns)})"
            message = f"the index {change.name} is on {had} already, so IF NOT EXISTS does nothing"
            yield Hit(event.source.path, change.line, message)
    for source, found in subject.answer.no_ops:
        if found.result == "differs" and found.object.startswith("index "):
            yield Hit(source.path, found.line, _said(found, "another one"))
    invalid = _invalid_indexes(subject)
    for event in subject.model.events:
        change = event.change
        if change.kind == "create index" and change.is_conditional and change.name in invalid:
            message = f"the database has an INVALID index {change.name}, which IF NOT EXISTS accepts"
            yield Hit(
                event.source.path, change.line, message, f"DROP INDEX CONCURRENTLY {quote(change.name)} first"
            )


def _invalid_indexes(subject: Subject) -> set[str]:
    engine = subject.engine
    if engine is None or subject.is_sqlite or engine.dialect.name == "sqlite":
        return set()
    rows = engine.fetch_all(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE NOT i.indisvalid AND c.relnamespace = to_regnamespace(%s)",
        (engine.schema_name,),
    )
    return {str(row[0]) for row in rows}


def _no_effect(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        if not source.is_sql:
            continue
        if not source.statements:
            yield Hit(source.path, 1, f"{source.name} has no statement")
            continue
        steps = subject.replay.of(source)
        if not steps or any(step.error or step.statement.verb in _MAKES_ROWS for step in steps):
            continue
        before = subject.replay.starts[source.name]
        after = steps[-1].after
        numbers = (before.user_version, before.application_id) == (after.user_version, after.application_id)
        if any(step.was_run for step in steps) and numbers and not differences(before, after):
            yield Hit(source.path, source.statements[0].line, f"{source.name} leaves the schema as it was")


def _drops_nothing(subject: Subject) -> Iterator[Hit]:
    for step in subject.replay.steps:
        if (
            step.statement.verb != "DROP"
            or step.error
            or step.before is not step.after
            or not step.is_certain
        ):
            continue
        noun, name, _ = _noun_and_name(step.statement)
        if noun:
            yield Hit(step.source.path, step.statement.line, f"DROP {noun} IF EXISTS {name}: there is none")
    for event in subject.model.events:
        change = event.change
        if change.is_conditional and event.is_certain and _finds_nothing(subject, event):
            noun = change.kind.split()[1].upper().replace("RELATION", "VIEW")
            yield Hit(event.source.path, change.line, f"DROP {noun} IF EXISTS {change.name}: there is none")


def _finds_nothing(subject: Subject, event: Event) -> bool:
    """Say whether a DROP of PostgreSQL's finds nothing, as far as files can know."""
    change = event.change
    schema, _, name = change.name.rpartition(".")
    if change.kind == "drop column":
        return event.table is None or change.name not in event.columns
    if schema and not any(one.startswith(f"{schema}.") for one in event.known_tables):
        return False
    known = event.known_tables | event.known_relations
    if change.kind == "drop index":
        # a key has an index that nobody made by name
        return event.existing is None and not name.endswith(("_pkey", "_key", "_idx", "_excl"))
    if change.kind == "drop relation":
        return change.name not in known and not name.endswith("_seq")
    is_type = change.kind in ("drop type", "drop domain")
    return (is_type or change.kind == "drop table") and change.name not in known | event.enums.keys()


RULES = (
    Rule(
        "N001",
        "error",
        "IF NOT EXISTS did nothing, and what is there is something else",
        "change what is there, or give the new one another name",
        _does_nothing,
    ),
    Rule(
        "N002",
        "info",
        "IF NOT EXISTS did nothing, and the same is there",
        "remove it",
        _does_nothing_harmlessly,
    ),
    Rule(
        "N003",
        "error",
        "an index of that name is INVALID or on other columns",
        "drop the old index, or give the new one another name",
        _other_index,
    ),
    Rule(
        "N004",
        "warning",
        "a file without effect",
        "remove the file, unless it was applied somewhere",
        _no_effect,
    ),
    Rule("N005", "info", "DROP IF EXISTS of nothing", "remove it, or correct the name", _drops_nothing),
)
