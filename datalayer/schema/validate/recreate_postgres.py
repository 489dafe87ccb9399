"""What a PostgreSQL table loses when a file drops it and makes it anew; the rules F001 to F006 tell it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.schema.validate.copied import copied_values
from datalayer.schema.validate.postgres_block import unfolded
from datalayer.schema.validate.postgres_change import Change, Constraint, words_of
from datalayer.schema.validate.postgres_model import Event, Known, KnownTable
from datalayer.schema.validate.postgres_type import name_of
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["Loss", "losses"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that the old table had: the rule that tells it, and the names that would speak of it."""

    rule: str
    source: Source
    line: int
    table: str
    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A table before and after a file, with the event that dropped the old one."""

    event: Event
    old: KnownTable
    new: KnownTable
    before: Known
    after: Known

    def loss(self, rule: str, what: str, *names: str) -> Loss:
        return Loss(rule, self.event.source, self.event.change.line, self.old.name, what, names)


def losses(subject: Subject, rule: str) -> Iterator[Loss]:
    """Yield what recreated tables lost that one rule tells of."""
    for pair in _pairs(subject):
        for loss in (*_indexes(pair), *_constraints(pair), *_columns(pair)):
            if loss.rule == rule:
                yield loss


def _pairs(subject: Subject) -> Iterator[_Pair]:
    for source in subject.sources:
        before, after = subject.model.around.get(source.name, (None, None))
        if before is None or after is None:
            continue
        for event in subject.model.of(source):
            name = event.change.name
            if event.change.kind != "drop table" or event.table is None or event.is_new:
                continue
            # the old table may have been renamed away before it was dropped
            old = next(
                (table for table in before.tables.values() if table.origin is event.table.origin), None
            )
            new = after.tables.get(old.name if old else name)
            if old is not None and new is not None:
                yield _Pair(event, old, new, before, after)


def _indexes(pair: _Pair) -> Iterator[Loss]:
    kept = {change.columns for _, change in pair.after.indexes.values() if change.table == pair.new.name}
    kept |= {one.columns for one in pair.new.constraints if one.kind in ("PRIMARY", "UNIQUE")}
    for name, (_, change) in pair.before.indexes.items():
        columns = [term.split()[0] for term in change.columns]
        is_gone = any(column in pair.old.columns and column not in pair.new.columns for column in columns)
        if change.table == pair.old.name and change.columns not in kept and not is_gone:
            yield pair.loss("F001", f"the index {name}", name)
    for name in sorted(pair.old.triggers - pair.new.triggers):
        yield pair.loss("F001", f"the trigger {name}", name, "trigger", "triggers")


def _constraints(pair: _Pair) -> Iterator[Loss]:
    rules = {"PRIMARY": "F002", "UNIQUE": "F002", "CHECK": "F003"}
    kept = {_meaning(one) for one in pair.new.constraints} | {
        ("UNIQUE", frozenset(change.columns), "", "")
        for _, change in pair.after.indexes.values()
        if change.table == pair.new.name and change.is_unique
    }
    for one in pair.old.constraints:
        is_gone = any(column not in pair.new.columns for column in one.columns)
        if is_gone:
            continue
        if one.kind in rules and _meaning(one) not in kept and not _has_other(pair, one):
            yield pair.loss(rules[one.kind], _text(one), one.name, *one.columns)
        elif one.kind == "FOREIGN":
            yield from _foreign_key(pair, one)


def _foreign_key(pair: _Pair, old: Constraint) -> Iterator[Loss]:
    new = next((one for one in pair.new.constraints if _meaning(one) == _meaning(old)), None)
    if new is None:
        yield pair.loss("F005", _text(old), old.name, *old.columns)
        return
    # to ask for an action anew loses nothing
    for event, action in set(old.actions) - set(new.actions):
        yield pair.loss("F005", f"ON {event} {action} of {_text(old)}", old.name, *old.columns)


def _has_other(pair: _Pair, old: Constraint) -> bool:
    """Say whether another rule over the columns of a CHECK took its place."""
    columns = {name_of(token) for token in old.tokens} & pair.old.columns.keys()
    before = {_meaning(one) for one in pair.old.constraints}
    return old.kind == "CHECK" and any(
        one.kind == "CHECK"
        and _meaning(one) not in before
        and columns <= {name_of(token) for token in one.tokens}
        for one in pair.new.constraints
    )


def _meaning(one: Constraint) -> tuple[object, ...]:
    columns: object = one.columns
    if one.kind in ("PRIMARY", "UNIQUE"):
        columns = frozenset(one.columns)
    elif one.kind == "CHECK":
        columns = ()
    words = [token.upper.lower() or name_of(token) for token in one.tokens]
    return (one.kind, columns, one.parent, " ".join(words))


def _text(one: Constraint) -> str:
    columns = ", ".join(one.columns)
    if one.kind == "CHECK":
        return f"CHECK ({words_of(one.tokens).lower()})"
    if one.kind == "FOREIGN":
        return f"the foreign key ({columns}) to {one.parent}"
    return f"{'PRIMARY KEY' if one.kind == 'PRIMARY' else one.kind} ({columns})"


def _columns(pair: _Pair) -> Iterator[Loss]:
    statements = (one for statement in pair.event.source.statements for one in unfolded(statement))
    copies = [value for one in statements if one.verb in ("INSERT", "WITH") for value in copied_values(one)]
    computed = {name for name, value in copies if len(value) > 1}
    # what goes into a column that is new has another name there
    renamed = {name_of(token) for name, value in copies if name not in pair.old.columns for token in value}
    for name, old in pair.old.columns.items():
        new = pair.new.columns.get(name)
        if new is None:
            if name not in renamed:
                yield pair.loss("F006", f"the column {name}", name)
            continue
        if old.is_not_null and not new.is_not_null and not _is_key(pair.new, name):
            yield pair.loss("F004", f"NOT NULL of {name}", name)
        if old.other != new.other and name not in computed:
            yield pair.loss("F006", f"the type of {name}: {old.other} becomes {new.other}", name)
        if old.default and _default(old) != _default(new) and name not in computed:
            yield pair.loss("F006", f"the default of {name}: {_default(old)}", name)


def _is_key(table: KnownTable, column: str) -> bool:
    return any(one.kind == "PRIMARY" and column in one.columns for one in table.constraints)


def _default(column: Change) -> str:
    tokens = list(column.default)
    while len(tokens) > 2 and tokens[0].text == "(" and tokens[-1].text == ")":
        tokens = tokens[1:-1]
    return " ".join(token.text for token in tokens)
