"""Where two schemas differ, object by object: what is missing, what is other, what is there besides.

Knows no engine: schemas come as snapshots. The changes that lead from one to the other are planned elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from datalayer.schema.snapshot import Check, Column, ForeignKey, Schema, Table, Trigger, Unique, View
from datalayer.schema.tokens import canonical_text, fold

__all__ = ["Difference", "differences"]


T = TypeVar("T", Table, Trigger, View)
Rule = Unique | Check | ForeignKey


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that differs. `detail` says how a changed one differs, in words."""

    change: Literal["missing", "changed", "extra"]
    kind: str
    name: str
    table: str
    detail: str = ""

    def __str__(self) -> str:
        place = f" of {self.table}" if self.table and self.table != self.name else ""
        return f"{self.kind} {self.name}{place} is {self.change}" + (
            f": {self.detail}" if self.detail else ""
        )


def differences(expected: Schema, found: Schema) -> list[Difference]:
    """Compare two snapshots; layout, comments, letter case and order of creation make no difference.

    Missing and changed objects come in the order of `expected`, extra ones after them. An index or trigger
    of a table or view that is missing itself is not listed.
    """
    # most objects are written alike, and what they mean takes long to tell
    mine, theirs = _without(expected, found), _without(found, expected)
    wanted, present = mine.shapes(expected.names), theirs.shapes(found.names)
    missing_and_changed = _missing_and_changed(_objects(mine), (expected, found), wanted, present)
    return [*missing_and_changed, *_extra(theirs, wanted)]


def _without(schema: Schema, other: Schema) -> Schema:
    """Give a schema without the objects that another has just so."""
    return replace(
        schema,
        tables=_others(schema.tables, other.tables),
        triggers=_others(schema.triggers, other.triggers),
        views=_others(schema.views, other.views),
    )


def _others(mine: tuple[T, ...], theirs: tuple[T, ...]) -> tuple[T, ...]:
    known = {one.name: one for one in theirs}
    return tuple(one for one in mine if known.get(one.name) != one)


def _missing_and_changed(
    objects: Iterable[tuple[str, str, str]],
    schemas: tuple[Schema, Schema],
    wanted: dict[tuple[str, str], tuple[object, ...]],
    present: dict[tuple[str, str], tuple[object, ...]],
) -> Iterator[Difference]:
    expected, found = schemas
    views = {fold(view.name) for view in found.views}
    for kind, name, table in objects:
        key = (kind, fold(name))
        if key not in present:
            is_of_view = expected.table(table) is None
            has_home = fold(table) in views if is_of_view else found.table(table) is not None
            if kind in ("table", "view") or has_home:
                yield Difference("missing", kind, name, table, _other_kind(found, name))
        elif present[key] != wanted[key]:
            mine, theirs = expected.table(name), found.table(name)
            detail = (
                _how(mine, theirs) if kind == "table" and mine and theirs else "its definition is another"
            )
            yield Difference("changed", kind, name, table, detail)


def _extra(found: Schema, wanted: dict[tuple[str, str], tuple[object, ...]]) -> Iterator[Difference]:
    for kind, name, table in _objects(found):
        if (kind, fold(name)) not in wanted:
            yield Difference("extra", kind, name, table)


def _objects(schema: Schema) -> Iterator[tuple[str, str, str]]:
    for table in schema.tables:
        yield "table", table.name, table.name
        yield from (("index", index.name, table.name) for index in table.indexes)
    yield from (("view", view.name, view.name) for view in schema.views)
    yield from (("trigger", trigger.name, trigger.table) for trigger in schema.triggers)


def _other_kind(found: Schema, name: str) -> str:
    others = [kind for kind, other, _ in _objects(found) if fold(other) == fold(name)]
    return f"a {others[0]} of that name stands there" if others else ""


def _how(expected: Table, found: Table) -> str:
    """Say how a table differs: what it is, then its columns, then its rules."""
    if "virtual" in (expected.kind, found.kind):
        return "its module or the arguments of it are others"
    parts = [*_options(expected, found), *_columns(expected, found), *_rules(expected, found)]
    return "; ".join(parts[:6]) or "the text of a rule differs"


def _options(expected: Table, found: Table) -> Iterator[str]:
    for word, mine, theirs in (
        ("STRICT", expected.is_strict, found.is_strict),
        ("WITHOUT ROWID", expected.is_without_rowid, found.is_without_rowid),
        ("AUTOINCREMENT", _numbers_on(expected), _numbers_on(found)),
    ):
        if mine != theirs:
            yield f"it is {word}" if theirs else f"it is not {word}"


def _numbers_on(table: Table) -> bool:
    return table.primary_key is not None and table.primary_key.autoincrement


def _columns(expected: Table, found: Table) -> Iterator[str]:
    missing = [column.name for column in expected.columns if found.column(column.name) is None]
    extra = [column.name for column in found.columns if expected.column(column.name) is None]
    if missing:
        yield f"column {', '.join(missing)} missing"
    if extra:
        yield f"column {', '.join(extra)} unexpected"
    names = [column.name for column in found.columns]
    if not missing and not extra and list(map(fold, names)) != [fold(one.name) for one in expected.columns]:
        yield f"its columns stand in the order {', '.join(names)}"
    for column in expected.columns:
        other = found.column(column.name)
        if other is not None:
            yield from _column(column, other)


def _column(column: Column, other: Column) -> Iterator[str]:
    """Say the first thing in which two columns of one name differ."""
    name = f"column {column.name}"
    if fold(column.type) != fold(other.type):
        yield f"{name} is {other.type or 'without type'}, expected {column.type or 'none'}"
    elif column.is_not_null != other.is_not_null:
        yield f"{name} is {'NOT NULL' if other.is_not_null else 'nullable'}"
    elif column.default != other.default:
        yield f"{name} has the default {other.default}, expected {column.default}"
    elif fold(column.collation or "BINARY") != fold(other.collation or "BINARY"):
        words = [one.collation or "BINARY" for one in (other, column)]
        yield f"{name} has the collation {words[0]}, expected {words[1]}"
    elif (column.generated, column.is_stored) != (other.generated, other.is_stored):
        yield f"{name} is {_computed(other)}, expected {_computed(column)}"


def _computed(column: Column) -> str:
    if column.generated is None:
        return "not computed"
    return f"computed as ({column.generated}) {'STORED' if column.is_stored else 'VIRTUAL'}"


def _rules(expected: Table, found: Table) -> Iterator[str]:
    kinds: tuple[tuple[str, tuple[Rule, ...], tuple[Rule, ...]], ...] = (
        ("PRIMARY KEY", _key(expected), _key(found)),
        ("UNIQUE", expected.uniques, found.uniques),
        ("CHECK", expected.checks, found.checks),
        ("foreign key", expected.foreign_keys, found.foreign_keys),
    )
    for kind, mine, theirs in kinds:
        have = {fold(rule.name or "") for rule in theirs}
        want = {fold(rule.name or "") for rule in mine}
        missing = [rule.name for rule in mine if rule.name and fold(rule.name) not in have]
        extra = [rule.name for rule in theirs if rule.name and fold(rule.name) not in want]
        if missing:
            yield f"{kind} {', '.join(missing)} missing"
        if extra:
            yield f"{kind} {', '.join(extra)} unexpected"
        if not missing and not extra:
            yield from _other_rules(kind, mine, theirs)


def _other_rules(kind: str, mine: Sequence[Rule], theirs: Sequence[Rule]) -> Iterator[str]:
    """Say which rules differ that no name tells apart."""
    wanted = {canonical_text(text): text for text in map(_rule_text, mine)}
    present = {canonical_text(text): text for text in map(_rule_text, theirs)}
    gone = [text for form, text in wanted.items() if form not in present]
    come = [text for form, text in present.items() if form not in wanted]
    if len(mine) != len(theirs):
        words = f"{len(theirs)} {kind} rules, expected {len(mine)}"
        yield words + (f" ({'; '.join(gone or come)})" if gone or come else "")
    elif come and gone:
        yield f"{'; '.join(come)}, expected {'; '.join(gone)}"


def _key(table: Table) -> tuple[Unique, ...]:
    return () if table.primary_key is None else (table.primary_key,)


def _rule_text(rule: Rule) -> str:
    """Write a rule as a CREATE statement has it, without its name."""
    if isinstance(rule, Check):
        return f"CHECK ({' '.join(rule.expression.split())})"
    if isinstance(rule, Unique):
        terms = ", ".join(
            f"{term.column or term.expression}"
            + (f" COLLATE {term.collation}" if term.collation else "")
            + (" DESC" if term.descending else "")
            for term in rule.terms
        )
        return f"key ({terms})" + (f" ON CONFLICT {rule.conflict}" if rule.conflict else "")
    parent = f"{rule.parent} ({', '.join(rule.parent_columns)})" if rule.parent_columns else rule.parent
    words = [f"REFERENCES {parent}"]
    actions = (("ON DELETE", rule.on_delete), ("ON UPDATE", rule.on_update))
    words += [f"{when} {action}" for when, action in actions if action != "NO ACTION"]
    words += ["DEFERRABLE"] * rule.is_deferrable + ["INITIALLY DEFERRED"] * rule.is_deferred
    return f"({', '.join(rule.columns)}) {' '.join(words)}"
