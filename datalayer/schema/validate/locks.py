"""L001 to L010: what PostgreSQL locks, scans and rewrites while a file is run, on tables that have rows.

Tables that the same file makes are left out; with a database those that are empty or not there yet, and what
was applied already.
Classes of statements as measured on PostgreSQL 15 and 18.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datalayer.schema.tokens import Statement
from datalayer.schema.validate.postgres_change import Change, words_of
from datalayer.schema.validate.postgres_model import Event
from datalayer.schema.validate.postgres_type import name_of
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

_VOLATILE_LIST = """
gen_random_uuid uuid_generate_v4 uuid_generate_v1 uuidv4 uuidv7 random clock_timestamp timeofday
nextval setval txid_current
"""
_VOLATILE = frozenset(_VOLATILE_LIST.split())
_TAKES_LOCK = frozenset(
    [
        "add column",
        "add constraint",
        "drop column",
        "drop constraint",
        "drop default",
        "drop not null",
        "drop table",
        "drop trigger",
        "rename column",
        "rename table",
        "rewrite",
        "set default",
        "set not null",
        "set type",
        "truncate",
    ]
)
_LOCK_TIMEOUT = re.compile(
    r"\ASET\s+(?:LOCAL\s+|SESSION\s+)?lock_timeout\s*(?:=|\bTO\b)(?!\s*(?:'?0\w*'?\s*\Z|DEFAULT\b))"
    r"|\bset_config\s*\(\s*'lock_timeout'",
    re.IGNORECASE,
)
_ADVISORY = re.compile(r"\bpg_advisory(?:_xact)?_lock(?:_shared)?\s*\(", re.IGNORECASE)
_ADVISORY_END = re.compile(r"\bpg_advisory_unlock(?:_shared|_all)?\s*\(", re.IGNORECASE)
_SIZED = re.compile(r"(?P<name>[a-z ]+?)\s*(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?")
_NAMES = {"character varying": "varchar", "bit varying": "varbit", "decimal": "numeric"}


def _busy(subject: Subject) -> Iterator[Event]:
    """Yield the changes of tables that may have rows and readers."""
    empty: dict[str, bool] = {}
    for event in subject.model.events:
        table = event.change.table
        if event.table is None or event.is_new or event.source.name in subject.applied:
            continue
        if table not in empty:
            empty[table] = _is_empty(subject, table)
        if not empty[table]:
            yield event


def _is_empty(subject: Subject, table: str) -> bool:
    engine = subject.engine
    if engine is None:
        return False
    if not engine.columns(table):
        return True
    return not engine.fetch_all(f"SELECT 1 FROM {engine.dialect.quote(table)} LIMIT 1")


def _no_timeout(subject: Subject) -> Iterator[Hit]:
    told: set[str] = set()
    for event in _busy(subject):
        source = event.source
        if event.change.kind not in _TAKES_LOCK or source.path in told:
            continue
        before = source.statements[: source.statements.index(event.statement)]
        if not any(_LOCK_TIMEOUT.search(one.text) for one in before):
            told.add(source.path)
            message = (
                f"{event.change.kind} on {event.change.table} waits for its lock, and all others behind it"
            )
            yield Hit(source.path, event.change.line, message)


def _not_concurrent(subject: Subject) -> Iterator[Hit]:
    for event in _busy(subject):
        if event.change.kind == "create index" and not event.change.is_concurrent and event.existing is None:
            message = (
                f"CREATE INDEX {event.change.name} stops all writes to {event.change.table} while it is made"
            )
            yield Hit(event.source.path, event.change.line, message)
    for source in () if subject.is_sqlite else subject.sources:
        for statement in source.statements:
            words = [token.upper for token in statement.tokens[:4]]
            if words[0] == "REINDEX" and "CONCURRENTLY" not in words:
                yield Hit(
                    source.path,
                    statement.line,
                    "REINDEX stops all writes while it runs",
                    "REINDEX CONCURRENTLY",
                )


def _validating(subject: Subject) -> Iterator[Hit]:
    for event in _busy(subject):
        change = event.change
        if change.kind == "add column":
            for constraint in change.constraints:
                if constraint.kind == "CHECK":
                    message = (
                        f"ADD COLUMN {change.name} with a CHECK reads all of {change.table} under its lock"
                    )
                    yield Hit(event.source.path, change.line, message)
                elif constraint.kind == "FOREIGN" and change.default:
                    message = (
                        f"ADD COLUMN {change.name} looks for its default in {constraint.parent} for each row"
                    )
                    yield Hit(event.source.path, change.line, message)
        for constraint in change.constraints if change.kind == "add constraint" else ():
            if constraint.kind in ("FOREIGN", "CHECK") and not constraint.is_not_valid:
                kind = "FOREIGN KEY" if constraint.kind == "FOREIGN" else "CHECK"
                message = f"ADD {kind} without NOT VALID reads all of {change.table} under its lock"
                yield Hit(event.source.path, change.line, message)
            elif constraint.kind == "EXCLUDE":
                message = f"ADD EXCLUDE builds its index under the lock of {change.table}"
                yield Hit(event.source.path, change.line, message, "add it while nobody writes")
            elif constraint.kind in ("UNIQUE", "PRIMARY") and not constraint.uses_index:
                message = f"ADD {constraint.kind} builds its index under the lock of {change.table}"
                fix = "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX"
                yield Hit(event.source.path, change.line, message, fix)


def _not_null_scan(subject: Subject) -> Iterator[Hit]:
    for event in _busy(subject):
        change = event.change
        if change.kind != "set not null" or event.table is None or _is_not_null(event):
            continue
        earlier = [one.change for one in _until(subject, event) if one.change.table == change.table]
        validated = {one.name for one in earlier if one.kind == "validate"}
        proofs = [
            words_of(constraint.tokens).lower()
            for one in earlier
            for constraint in one.constraints
            if constraint.kind in ("CHECK", "NOT")
            and (not constraint.is_not_valid or constraint.name in validated)
        ]
        if not any(f"{change.name} is not null" in proof.replace('"', "") for proof in proofs):
            message = (
                f"SET NOT NULL reads all of {change.table} under its lock to look for NULL in {change.name}"
            )
            yield Hit(event.source.path, change.line, message)


def _is_not_null(event: Event) -> bool:
    name = event.change.name
    keys = (one.columns for one in event.constraints if one.kind == "PRIMARY")
    return any(name in key for key in keys) or (name in event.columns and event.columns[name].is_not_null)


def _until(subject: Subject, event: Event) -> list[Event]:
    events = subject.model.events
    return events[: next(place for place, one in enumerate(events) if one is event)]


def _rewrite(subject: Subject) -> Iterator[Hit]:
    for event in _busy(subject):
        change = event.change
        is_generated = change.kind == "add column" and (change.is_rewriting or "serial" in change.other)
        if change.kind == "rewrite" or is_generated:
            what = change.other if change.kind == "rewrite" else f"ADD COLUMN {change.name} {change.other}"
            yield Hit(
                event.source.path, change.line, f"{what} writes all of {change.table} anew under its lock"
            )
    for source in () if subject.is_sqlite else subject.sources:
        for statement in source.statements:
            words = [token.upper for token in statement.tokens]
            if words[0] == "CLUSTER" or (words[0] == "VACUUM" and "FULL" in words):
                yield Hit(
                    source.path, statement.line, f"{words[0]} writes the whole table anew under its lock"
                )


def _is_concurrent(statement: Statement) -> bool:
    words = [token.upper for token in statement.tokens]
    if words[:2] == ["ALTER", "TABLE"]:
        return words[-1] == "CONCURRENTLY"
    return words[0] in ("CREATE", "DROP", "REINDEX") and "CONCURRENTLY" in words[1:5]


def _concurrent_in_transaction(subject: Subject) -> Iterator[Hit]:
    for source in () if subject.is_sqlite else subject.sources:
        is_open = subject.layout == "drizzle"
        for statement in source.statements:
            words = [token.upper for token in statement.tokens[:2]]
            if words[0] == "BEGIN" or words == ["START", "TRANSACTION"]:
                is_open = True
            elif words[0] in ("COMMIT", "END", "ROLLBACK"):
                is_open = False
            elif is_open and _is_concurrent(statement):
                who = (
                    "drizzle runs all files in one transaction"
                    if subject.layout == "drizzle"
                    else "BEGIN is open"
                )
                message = f"CONCURRENTLY fails in a transaction, and {who}"
                yield Hit(source.path, statement.line, message)


def _validated_at_once(subject: Subject) -> Iterator[Hit]:
    added: set[tuple[Source, str, str]] = set()
    for event in subject.model.events:
        change = event.change
        for constraint in change.constraints if change.kind == "add constraint" else ():
            if constraint.is_not_valid and not event.is_new:
                added.add((event.source, change.table, constraint.name))
        if change.kind == "validate" and (event.source, change.table, change.name) in added:
            message = (
                f"VALIDATE CONSTRAINT {change.name} reads {change.table} under the lock of ADD CONSTRAINT"
            )
            yield Hit(event.source.path, change.line, message)


def _volatile_default(subject: Subject) -> Iterator[Hit]:
    for event in _busy(subject):
        change = event.change
        names = {name_of(token) for token in change.default if token.kind in ("word", "identifier")}
        calls = names & _VOLATILE
        if change.kind == "add column" and calls:
            message = (
                f"the default {calls.pop()}() of {change.name} is another for each row of {change.table}: "
            )
            yield Hit(event.source.path, change.line, f"{message}all are written anew under its lock")


def _unsafe_type(subject: Subject) -> Iterator[Hit]:
    for event in _busy(subject):
        change = event.change
        if change.kind != "set type" or change.name not in event.columns:
            continue
        old: Change = event.columns[change.name]
        if not _is_safe(old.other, change.other):
            message = f"{change.table}.{change.name}: {old.other} to {change.other} writes the table anew"
            yield Hit(event.source.path, change.line, message)


def _is_safe(old: str, new: str) -> bool:
    """Say whether PostgreSQL changes the type without writing the table anew."""
    before, after = _parts(old), _parts(new)
    if before is None or after is None:
        return old == new
    (name, size, scale), (other, wider, other_scale) = before, after
    if (name, size, scale) == (other, wider, other_scale):
        return True
    if other == "text" or (other == "varchar" and wider is None):
        return name in ("varchar", "text")
    if name == other in ("varchar", "varbit"):
        return wider is None or (size is not None and wider >= size)
    if name == other == "numeric":
        return wider is None or (size is not None and wider >= size and scale == other_scale)
    return (name, other) == ("cidr", "inet")


def _parts(text: str) -> tuple[str, int | None, int | None] | None:
    match = _SIZED.fullmatch(text.replace(" (", "("))
    if match is None:
        return None
    name = match["name"].strip()
    size, scale = match["size"], match["scale"]
    return (
        _NAMES.get(name, name),
        int(size) if size else None,
        int(scale) if scale else (0 if size else None),
    )


def _advisory(subject: Subject) -> Iterator[Hit]:
    for source in () if subject.is_sqlite else subject.sources:
        lock: Statement | None = None
        for statement in source.statements:
            # a string in a statement is no call, but the body of a block is one
            code = statement.text if statement.verb == "DO" else _without_strings(statement)
            if _ADVISORY_END.search(code):
                lock = None
            elif _ADVISORY.search(code):
                lock = lock or statement
            elif lock is not None and _is_concurrent(statement):
                message = "CONCURRENTLY waits for whoever waits in pg_advisory_lock(): a deadlock"
                yield Hit(source.path, lock.line, message)
                break


def _without_strings(statement: Statement) -> str:
    return "".join("''" if token.kind == "string" else f"{token.text} " for token in statement.tokens)


RULES = (
    Rule(
        "L001",
        "warning",
        "a lock without lock_timeout",
        "SET LOCAL lock_timeout = '2s' before it",
        _no_timeout,
    ),
    Rule(
        "L002",
        "warning",
        "an index that is not made CONCURRENTLY",
        "CREATE INDEX CONCURRENTLY, alone in its file",
        _not_concurrent,
    ),
    Rule(
        "L003",
        "warning",
        "a constraint that is validated under the table's lock",
        "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a later file",
        _validating,
    ),
    Rule(
        "L004",
        "warning",
        "SET NOT NULL that reads the whole table",
        "ADD CHECK (column IS NOT NULL) NOT VALID, VALIDATE it in a later file, then SET NOT NULL",
        _not_null_scan,
    ),
    Rule(
        "L005",
        "warning",
        "a statement that writes the whole table anew",
        "add a plain column, fill it in batches, and swap",
        _rewrite,
    ),
    Rule(
        "L006",
        "error",
        "CONCURRENTLY in a transaction",
        "put it in a file of its own that is run outside of a transaction",
        _concurrent_in_transaction,
    ),
    Rule(
        "L007",
        "warning",
        "VALIDATE CONSTRAINT in the transaction that added it",
        "put VALIDATE CONSTRAINT in a later file",
        _validated_at_once,
    ),
    Rule(
        "L008",
        "warning",
        "a volatile default for a new column",
        "add the column nullable, SET DEFAULT, fill it in batches, then NOT NULL",
        _volatile_default,
    ),
    Rule(
        "L009",
        "warning",
        "a change of type that writes the table anew",
        "add a column of the new type, keep both alike by a trigger, fill it in batches, and swap",
        _unsafe_type,
    ),
    Rule(
        "L010",
        "error",
        "a blocking advisory lock around CONCURRENTLY",
        "poll pg_try_advisory_lock() instead",
        _advisory,
    ),
)
