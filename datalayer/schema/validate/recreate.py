"""F001 to F006: what a table loses when it is recreated (new one, rows copied, old one dropped, renamed).

A loss that the file's name or a comment speaks of ("drop", "nullable", ... with the name) is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datalayer.schema.declaration import ForeignKey, Term, Unique
from datalayer.schema.snapshot import Column, Schema, Table
from datalayer.schema.tokens import canonical, fold, significant, tokenize
from datalayer.schema.validate import drizzle
from datalayer.schema.validate.copied import copied_values
from datalayer.schema.validate.recreate_postgres import losses
from datalayer.schema.validate.replay import Step
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["LOOSENING", "RULES", "recreated"]

_LOOSENING_LIST = """
alter alters altered drop drops
dropped dropping remove removes removed removing relax relaxes loosen loosens lift lifts
nullable optional without longer delete deletes deleted allow allows retire retires retype type
types change changes default defaults widen widens shorten unneeded unused obsolete replace replaces
replaced rename renames renamed convert converts may
"""
LOOSENING = frozenset(_LOOSENING_LIST.split())


@dataclass(frozen=True, slots=True)
class _Recreated:
    """A table before and after a file that made it anew; `step` is the DROP TABLE of the old one."""

    source: Source
    step: Step
    old: Table
    new: Table
    before: Schema
    after: Schema
    intent: dict[str, Any] | None


def recreated(subject: Subject) -> Iterator[_Recreated]:
    """Yield the tables that a file drops and makes anew under the same name."""
    for source in subject.sources:
        steps = subject.replay.of(source)
        if not any(_is_drop(step) for step in steps):
            continue
        before, after = subject.replay.starts[source.name], steps[-1].after
        for old in before.tables:
            new = after.table(old.name)
            step = _drop_of(steps, old)
            if new is not None and step is not None and old.kind == new.kind == "table":
                yield _Recreated(
                    source, step, old, new, before, after, drizzle.table_of(subject, source, old.name)
                )


def _is_drop(step: Step) -> bool:
    words = [token.upper for token in step.statement.tokens[:2]]
    return words == ["DROP", "TABLE"] and step.changed_schema


def _drop_of(steps: list[Step], table: Table) -> Step | None:
    """Find where the table is dropped, under its own name or one that it was given in the file."""
    name = fold(table.name)
    for step in steps:
        words = [token.upper for token in step.statement.tokens[:2]]
        if step.error or step.before is step.after:
            continue
        if step.statement.verb == "ALTER" and step.before.table(name) and not step.after.table(name):
            there = {fold(one.name) for one in step.before.tables}
            name = next((fold(one.name) for one in step.after.tables if fold(one.name) not in there), name)
        elif words == ["DROP", "TABLE"] and step.before.table(name) and not step.after.table(name):
            return step
    return None


def _meant(one: _Recreated, *names: str, kinds: str = "") -> bool:
    """Say whether the file's words tell of a loss: by a name, or by the kind of what goes."""
    is_named = any(one.source.says(name, LOOSENING) for name in names if name)
    return is_named or any(one.source.says(kind, LOOSENING) for kind in kinds.split())


def _wants(one: _Recreated, part: str, name: str) -> bool:
    """Say whether drizzle's snapshot still has a part of the table; so does what has no snapshot."""
    return one.intent is None or name in one.intent.get(part, {})


def _wants_key(one: _Recreated, part: str, columns: tuple[str, ...], word: str) -> bool:
    """Say whether drizzle's snapshot still has a key over these columns, told under `word`."""
    if one.intent is None:
        return True
    found = one.intent.get(part, {}).values()
    return any({*map(fold, key.get(word, ()))} == {*map(fold, columns)} for key in found)


def _wanted_column(one: _Recreated, name: str) -> dict[str, Any] | None:
    return None if one.intent is None else one.intent.get("columns", {}).get(name)


def _hit(one: _Recreated, what: str) -> Hit:
    message = f"recreating {one.old.name} loses {what}"
    return Hit(one.source.path, one.step.statement.line, message)


def _lost_in_postgres(subject: Subject, rule: str, kinds: str) -> Iterator[Hit]:
    for loss in () if subject.is_sqlite else losses(subject, rule):
        words = [name for name in (*loss.names, *kinds.split()) if name]
        if not any(loss.source.says(word, LOOSENING) for word in words):
            yield Hit(loss.source.path, loss.line, f"recreating {loss.table} loses {loss.what}")


def _indexes(subject: Subject) -> Iterator[Hit]:
    yield from _lost_in_postgres(subject, "F001", "index indexes indices")
    for one in recreated(subject):
        kept = {_terms(index.terms) for index in one.new.indexes}
        kept |= {_terms(key.terms) for key in _keys(one.new)}
        dropped_by_name = _dropped_indexes(subject, one.source)
        for index in one.old.indexes:
            columns = [term.column for term in index.terms if term.column]
            is_gone = any(one.new.column(column) is None for column in columns)
            if _terms(index.terms) in kept or is_gone or fold(index.name) in dropped_by_name:
                continue
            if _wants(one, "indexes", index.name) and not _meant(
                one, index.name, kinds="index indexes indices"
            ):
                yield _hit(one, f"the index {index.name}")
        yield from _triggers(one)


def _dropped_indexes(subject: Subject, source: Source) -> set[str]:
    found: set[str] = set()
    for step in subject.replay.of(source):
        if [token.upper for token in step.statement.tokens[:2]] == ["DROP", "INDEX"]:
            found |= {fold(token.text.strip('`"[]')) for token in step.statement.tokens[2:]}
    return found


def _triggers(one: _Recreated) -> Iterator[Hit]:
    kept = {fold(trigger.name) for trigger in one.after.triggers}
    for trigger in one.before.triggers:
        lost = fold(trigger.table) == fold(one.old.name) and fold(trigger.name) not in kept
        if lost and not _meant(one, trigger.name, kinds="trigger triggers"):
            yield _hit(one, f"the trigger {trigger.name}")


def _keys(table: Table) -> list[Unique]:
    return [*([table.primary_key] if table.primary_key else []), *table.uniques]


def _terms(terms: tuple[Term, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((fold(term.column or ""), " ".join((term.expression or "").split())) for term in terms)


def _columns_left(one: _Recreated, columns: tuple[str, ...]) -> bool:
    return all(one.new.column(column) is not None for column in columns)


def _uniques(subject: Subject) -> Iterator[Hit]:
    yield from _lost_in_postgres(subject, "F002", "unique uniqueness")
    for one in recreated(subject):
        kept = {frozenset(map(fold, key.columns)) for key in _keys(one.new)}
        kept |= {
            frozenset(fold(term.column or "") for term in index.terms)
            for index in one.new.indexes
            if index.is_unique
        }
        for key in _keys(one.old):
            if frozenset(map(fold, key.columns)) in kept or not _columns_left(one, key.columns):
                continue
            kind = "PRIMARY KEY" if key is one.old.primary_key else "UNIQUE"
            is_wanted = _wants_key(one, "indexes", key.columns, "columns")
            is_wanted = is_wanted or _wants_key(one, "uniqueConstraints", key.columns, "columns")
            is_wanted = is_wanted or key is one.old.primary_key
            if is_wanted and not _meant(one, key.name or "", *key.columns, kinds="unique uniqueness"):
                yield _hit(one, f"{kind} ({', '.join(key.columns)})")


def _checks(subject: Subject) -> Iterator[Hit]:
    yield from _lost_in_postgres(subject, "F003", "check checks")
    for one in recreated(subject):
        kept = {_form(check.expression) for check in one.new.checks}
        names = {fold(check.name) for check in one.new.checks if check.name}
        left = len(one.new.checks)
        for check in one.old.checks:
            words = {fold(token.text.strip('"`[]')) for token in tokenize(check.expression)}
            columns = [column.name for column in one.old.columns if fold(column.name) in words]
            is_kept = _form(check.expression) in kept or fold(check.name or "") in names
            if is_kept or not _columns_left(one, tuple(columns)):
                continue
            # another rule over the same column took its place
            is_wanted = _wants(one, "checkConstraints", check.name or "")
            if not is_wanted or _has_other(
                one.new, set(map(fold, columns)), {_form(old.expression) for old in one.old.checks}
            ):
                continue
            if not _meant(one, check.name or "", *columns, kinds="check checks") or left > len(
                one.old.checks
            ):
                yield _hit(one, f"CHECK ({' '.join(check.expression.split())})")


def _has_other(table: Table, columns: set[str], old: set[tuple[str, ...]]) -> bool:
    for check in table.checks:
        words = {fold(token.text.strip('"`[]')) for token in tokenize(check.expression)}
        if columns and columns <= words and _form(check.expression) not in old:
            return True
    return False


def _form(text: str) -> tuple[str, ...]:
    # an empty name in double quotes is an empty string: there is no such column
    parts = ("''" if part == '""' else part for part in canonical(significant(tokenize(text))))
    return tuple(fold(part.strip('"`[]')) for part in parts)


def _not_nulls(subject: Subject) -> Iterator[Hit]:
    yield from _lost_in_postgres(subject, "F004", "")
    for one in recreated(subject):
        for column in one.old.columns:
            new = one.new.column(column.name)
            lost = column.is_not_null and new is not None and not new.is_not_null and not new.key_position
            wanted = _wanted_column(one, column.name)
            is_wanted = wanted is None or bool(wanted.get("notNull"))
            if lost and is_wanted and not _meant(one, column.name):
                yield _hit(one, f"NOT NULL of {column.name}")


def _references(subject: Subject) -> Iterator[Hit]:
    yield from _lost_in_postgres(subject, "F005", "fk fks foreign reference references")
    for one in recreated(subject):
        kept = {(tuple(map(fold, key.columns)), fold(key.parent)): key for key in one.new.foreign_keys}
        for key in one.old.foreign_keys:
            if not _columns_left(one, key.columns) or _meant(
                one, key.name or "", *key.columns, kinds="fk fks foreign reference references"
            ):
                continue
            new = kept.get((tuple(map(fold, key.columns)), fold(key.parent)))
            text = f"the foreign key ({', '.join(key.columns)}) to {key.parent}"
            is_wanted = _wants_key(one, "foreignKeys", key.columns, "columnsFrom")
            if new is None and is_wanted and one.after.table(key.parent) is not None:
                yield _hit(one, text)
            elif one.intent is None and new is not None:
                yield from (_hit(one, f"{action} of {text}") for action in _lost_actions(key, new))


def _lost_actions(old: ForeignKey, new: ForeignKey) -> Iterator[str]:
    """Yield the actions that were asked for and are others now; to ask for one anew loses nothing."""
    for event, before, after in (
        ("ON DELETE", old.on_delete, new.on_delete),
        ("ON UPDATE", old.on_update, new.on_update),
    ):
        if before not in ("NO ACTION", after):
            yield f"{event} {before}"


def _columns(subject: Subject) -> Iterator[Hit]:
    yield from _lost_in_postgres(subject, "F006", "type types default defaults")
    for one in recreated(subject):
        added = [column for column in one.new.columns if one.old.column(column.name) is None]
        lost = [column for column in one.old.columns if one.new.column(column.name) is None]
        for column in lost:
            # as many new ones as lost ones look like a change of name, which the copy tells
            is_wanted = one.intent is None or _wanted_column(one, column.name) is not None
            if is_wanted and not _meant(one, column.name) and not _is_copied(subject, one, column, added):
                yield _hit(one, f"the column {column.name}")
        computed = _computed(subject, one)
        for column in one.old.columns:
            new = one.new.column(column.name)
            # what a snapshot says of types and defaults is what the new table was made from
            if new is None or one.intent is not None or fold(column.name) in computed:
                continue
            for kinds, what in _changes(column, new):
                if not _meant(one, column.name, kinds=kinds):
                    yield _hit(one, what)
        yield from _kind_of_table(one)


def _is_copied(subject: Subject, one: _Recreated, column: Column, added: list[Column]) -> bool:
    if not added:
        return False
    names = {
        fold(token.text.strip('"`[]')) for step in _copies(subject, one) for token in step.statement.tokens
    }
    return fold(column.name) in names and any(fold(new.name) in names for new in added)


def _copies(subject: Subject, one: _Recreated) -> list[Step]:
    return [
        step for step in subject.replay.of(one.source) if step.statement.verb in ("INSERT", "REPLACE", "WITH")
    ]


def _computed(subject: Subject, one: _Recreated) -> set[str]:
    """Give the columns that the copy computes anew, a CAST say: their change was thought of."""
    values = (value for step in _copies(subject, one) for value in copied_values(step.statement))
    return {name for name, tokens in values if len(tokens) > 1}


def _changes(old: Column, new: Column) -> Iterator[tuple[str, str]]:
    """Yield how a column differs, with the words that would speak of it."""
    if " ".join(fold(old.type).split()) != " ".join(fold(new.type).split()):
        yield "type types", f"the type of {old.name}: {old.type or 'none'} becomes {new.type or 'none'}"
    if old.default is not None and _form(old.default) != _form(new.default or ""):
        yield "default defaults", f"the default of {old.name}: {old.default} becomes {new.default or 'none'}"
    before, after = old.collation or "BINARY", new.collation or "BINARY"
    # to ask for another one loses nothing that was not thought of
    if fold(before) != fold(after) and new.collation is None:
        yield "collation collate nocase", f"the collation of {old.name}: {before} becomes {after}"
    if _form(old.generated or "") != _form(new.generated or ""):
        yield "generated", f"what {old.name} is generated from"


def _kind_of_table(one: _Recreated) -> Iterator[Hit]:
    has_old = one.old.primary_key is not None and one.old.primary_key.autoincrement
    has_new = one.new.primary_key is not None and one.new.primary_key.autoincrement
    for word, old, new in (
        ("AUTOINCREMENT", has_old, has_new),
        ("STRICT", one.old.is_strict, one.new.is_strict),
        ("WITHOUT ROWID", one.old.is_without_rowid, one.new.is_without_rowid),
    ):
        if old and not new and not _meant(one, word):
            yield _hit(one, word)


_SAY = ", or say that it is meant: -- datalayer:allow "

RULES = (
    Rule(
        "F001",
        "error",
        "a recreated table lost an index or a trigger",
        f"create it again after the renaming{_SAY}F001",
        _indexes,
    ),
    Rule(
        "F002",
        "error",
        "a recreated table lost a UNIQUE or PRIMARY KEY",
        f"declare it again{_SAY}F002",
        _uniques,
    ),
    Rule("F003", "error", "a recreated table lost a CHECK", f"declare it again{_SAY}F003", _checks),
    Rule("F004", "error", "a recreated table lost a NOT NULL", f"declare it again{_SAY}F004", _not_nulls),
    Rule("F005", "error", "a recreated table lost a foreign key", f"declare it again{_SAY}F005", _references),
    Rule(
        "F006",
        "error",
        "a recreated table lost a column, or has another type or default",
        f"declare it as it was{_SAY}F006",
        _columns,
    ),
)
