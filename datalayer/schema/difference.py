"""Where two schemas differ, object by object: what is missing, what is other, what is there besides.

Knows no engine: schemas come as snapshots. The changes that lead from one to the other are planned elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from datalayer.schema.snapshot import Schema, Table, Trigger, View
from datalayer.schema.tokens import fold

__all__ = ["Difference", "differences"]


T = TypeVar("T", Table, Trigger, View)


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
    of a table that is missing itself is not listed.
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
    for kind, name, table in objects:
        key = (kind, fold(name))
        if key not in present:
            if kind in ("table", "view") or found.table(table) is not None:
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
    """Say how a table differs: columns first, for they matter most."""
    parts = [*_columns(expected, found), *_rules(expected, found)]
    if not parts and (expected.is_strict, expected.is_without_rowid) != (
        found.is_strict,
        found.is_without_rowid,
    ):
        parts.append("STRICT or WITHOUT ROWID differs")
    return "; ".join(parts[:6]) or "the order of its columns or the text of a rule differs"


def _columns(expected: Table, found: Table) -> Iterator[str]:
    missing = [column.name for column in expected.columns if found.column(column.name) is None]
    extra = [column.name for column in found.columns if expected.column(column.name) is None]
    if missing:
        yield f"column {', '.join(missing)} missing"
    if extra:
        yield f"column {', '.join(extra)} unexpected"
    for column in expected.columns:
        other = found.column(column.name)
        if other is None:
            continue
        if fold(column.type) != fold(other.type):
            yield f"column {column.name} is {other.type or 'without type'}, expected {column.type or 'none'}"
        elif column.is_not_null != other.is_not_null:
            yield f"column {column.name} is {'NOT NULL' if other.is_not_null else 'nullable'}"
        elif column.default != other.default:
            yield f"column {column.name} has the default {other.default}, expected {column.default}"


def _rules(expected: Table, found: Table) -> Iterator[str]:
    for kind, mine, theirs in (
        ("UNIQUE", expected.uniques, found.uniques),
        ("CHECK", expected.checks, found.checks),
        ("foreign key", expected.foreign_keys, found.foreign_keys),
    ):
        have = {fold(rule.name or "") for rule in theirs}
        want = {fold(rule.name or "") for rule in mine}
        missing = [rule.name for rule in mine if rule.name and fold(rule.name) not in have]
        extra = [rule.name for rule in theirs if rule.name and fold(rule.name) not in want]
        if missing:
            yield f"{kind} {', '.join(missing)} missing"
        if extra:
            yield f"{kind} {', '.join(extra)} unexpected"
        if not missing and not extra and len(mine) != len(theirs):
            yield f"{len(theirs)} {kind} rules, expected {len(mine)}"
