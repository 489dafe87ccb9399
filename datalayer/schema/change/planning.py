"""The cheapest safe way from one SQLite schema to another, table by table.

nothing < alter (the text of the table, columns added behind) < scan (the same, once every row has been looked
at) < rebuild (a new table with the rows of the old). Knows no database: schemas come as snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from datalayer.schema.change.layout import affinity, mentions, reasons_to_rebuild
from datalayer.schema.change.pairing import Pair, Pairing, is_journal
from datalayer.schema.change.projection import is_filled
from datalayer.schema.snapshot import (
    Check,
    Column,
    ForeignKey,
    Index,
    Schema,
    Table,
    Trigger,
    View,
    default_shape,
    index_shape,
    table_shape,
)
from datalayer.schema.tokens import canonical, fold, significant, spelled, tokenize

__all__ = ["Change", "Plan", "Way", "as_rebuild", "is_constant", "make_plan"]

Way = Literal["nothing", "alter", "scan", "rebuild"]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one table.

    `reasons` say why it must be rebuilt. `new_checks`, `new_references` and `new_not_null` are the rules that
    its rows were not held to before; `new_defaults` the columns whose DEFAULT is another.
    """

    pair: Pair
    way: Way
    reasons: tuple[str, ...] = ()
    new_checks: tuple[Check, ...] = ()
    new_references: tuple[ForeignKey, ...] = ()
    new_not_null: tuple[Column, ...] = ()
    new_defaults: tuple[Column, ...] = ()
    becomes_strict: bool = False

    @property
    def is_renamed(self) -> bool:
        """Whether the table gets another name, or another spelling of it."""
        return self.pair.found.name != self.pair.wanted.name

    @property
    def looks(self) -> int:
        """How often the rows of a table are looked at where they are."""
        if self.way not in ("alter", "scan"):
            return 0
        types = len(self.pair.wanted.columns) if self.becomes_strict else 0
        return len(self.new_not_null) + len(self.new_checks) + len(self.new_defaults) + types

    @property
    def moves(self) -> bool:
        """Whether the old table must make room for a new one or take another name."""
        return self.way == "rebuild" or self.is_renamed


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that leads from `found` to `wanted`, by kind of object, in the order it is done."""

    found: Schema
    wanted: Schema
    pairing: Pairing
    changes: tuple[Change, ...]
    dropped_indexes: tuple[Index, ...]
    created_indexes: tuple[Index, ...]
    retold_indexes: tuple[Index, ...]
    dropped_triggers: tuple[Trigger, ...]
    dropped_views: tuple[View, ...]
    created_views: tuple[View, ...]
    created_triggers: tuple[Trigger, ...]
    user_version: int | None
    application_id: int | None
    exact: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (
            self.pairing.created
            or self.pairing.dropped
            or any(change.way != "nothing" for change in self.changes)
            or self.dropped_indexes
            or self.created_indexes
            or self.dropped_triggers
            or self.dropped_views
            or self.created_views
            or self.created_triggers
            or self.user_version is not None
            or self.application_id is not None
        )

    @property
    def rebuilt(self) -> list[Change]:
        """The tables whose rows are copied."""
        return [change for change in self.changes if change.way == "rebuild"]

    @property
    def retold(self) -> list[Change]:
        """The tables whose rows stay while their text changes."""
        return [change for change in self.changes if change.way in ("alter", "scan")]


def make_plan(
    found: Schema, wanted: Schema, pairing: Pairing, *, exact: bool, can_retell: bool, header: frozenset[str]
) -> Plan:
    """Plan the way from `found` to `wanted`.

    `can_retell`: whether this connection may write sqlite_schema; without it a table is rebuilt where only
    its text would change. `header` names the numbers that the wanted schema sets. `exact` as in
    `pairing.pair_up`.
    """
    names = found.names | wanted.names
    changes = tuple(_change(pair, names, can_retell=can_retell) for pair in pairing.pairs)
    moved = any(change.way != "nothing" for change in changes) or bool(pairing.dropped)
    dropped_indexes, created_indexes, retold = _indexes(changes, pairing, names, exact=exact)
    views_before, views_after = _views(found, wanted, exact=exact, everything=moved)
    triggers_before, triggers_after = _triggers(
        found, wanted, {fold(view.name) for view in views_before}, exact=exact, everything=moved
    )
    return Plan(
        found,
        wanted,
        pairing,
        changes,
        tuple(dropped_indexes),
        tuple(created_indexes),
        tuple(retold),
        tuple(triggers_before),
        tuple(views_before),
        tuple(views_after),
        tuple(triggers_after),
        _number("user_version", found.user_version, wanted.user_version, header),
        _number("application_id", found.application_id, wanted.application_id, header),
        exact,
    )


def as_rebuild(plan: Plan, change: Change, reason: str) -> Plan:
    """Give the plan with one table rebuilt after all, its indexes made anew with it."""
    names = plan.found.names | plan.wanted.names
    changes = tuple(
        replace(one, way="rebuild", reasons=(reason,)) if one is change else one for one in plan.changes
    )
    dropped, created, retold = _indexes(changes, plan.pairing, names, exact=plan.exact)
    kept = [index for index in plan.created_indexes if index not in created]
    return replace(
        plan,
        changes=changes,
        dropped_indexes=tuple(dropped),
        created_indexes=(*created, *kept),
        retold_indexes=tuple(retold),
    )


def _number(name: str, found: int, wanted: int, header: frozenset[str]) -> int | None:
    return wanted if name in header and found != wanted else None


# -- tables ----------------------------------------------------------------------------------------


def _change(pair: Pair, names: frozenset[str], *, can_retell: bool) -> Change:
    found, wanted = pair.found, pair.wanted
    if _is_same(pair, names) or (is_journal(wanted.name) and _serves_old_programs(found)):
        return Change(pair, "nothing")
    change = Change(
        pair,
        "rebuild",
        tuple(reasons_to_rebuild(pair)) or tuple(_reasons_of_new_columns(pair)),
        tuple(_new_checks(pair, names)),
        tuple(_new_references(pair)),
        tuple(column for column in wanted.columns if _is_newly_not_null(pair, column)),
        tuple(column for column in wanted.columns if _has_new_default(pair, column, names)),
        wanted.is_strict and not found.is_strict,
    )
    if change.reasons:
        return change
    if not can_retell and not _is_only_renamed(pair, names):
        return replace(change, reasons=("this connection may not write sqlite_schema",))
    looks = change.new_checks or change.new_references or change.new_not_null or change.new_defaults
    return replace(change, way="scan" if looks or _looks_at_new(pair) else "alter")


def _looks_at_new(pair: Pair) -> bool:
    """Whether rows are looked at for the sake of STRICT, or of a computation that may fail."""
    becomes_strict = pair.wanted.is_strict and (pair.added or not pair.found.is_strict)
    return bool(becomes_strict) or any("(" in (column.generated or "") for column in pair.added)


def _is_same(pair: Pair, names: frozenset[str]) -> bool:
    found, wanted = pair.found, pair.wanted
    return _spelling(found) == _spelling(wanted) and (
        found.sql == wanted.sql or table_shape(found, names) == table_shape(wanted, names)
    )


def _is_only_renamed(pair: Pair, names: frozenset[str]) -> bool:
    return _spelling(pair.found)[1:] == _spelling(pair.wanted)[1:] and table_shape(
        pair.found, names
    ) == table_shape(pair.wanted, names)


def _spelling(table: Table) -> tuple[object, ...]:
    """Tell names and types letter by letter, and the UNIQUEs in order: what a reader of PRAGMAs sees."""
    return (
        table.name,
        tuple((column.name, " ".join(column.type.split())) for column in table.columns),
        tuple(key.columns for key in table.uniques),
    )


def _serves_old_programs(table: Table) -> bool:
    """Say whether programs that know only migrations(id, name, applied_at) go on reading a table."""
    return {"id", "name", "applied_at"} <= {fold(column.name) for column in table.columns}


def _reasons_of_new_columns(pair: Pair) -> Iterator[str]:
    """Say which new columns ALTER TABLE ADD COLUMN refuses (lang_altertable.html, section 4)."""
    for column in pair.added:
        if column.key_position:
            yield f"{column.name} is part of the primary key"
        elif column.generated is not None:
            if column.is_stored:
                yield f"{column.name} is computed and stored"
        elif not is_constant(column.default):
            yield f"{column.name} has a default that is computed for each row"
        elif (column.default or "").upper() in ("TRUE", "FALSE") and affinity(column, pair.wanted) == "TEXT":
            # SQLite reads the number itself for older rows, without the conversion that new ones get
            yield f"{column.name} would not be a text in older rows"


def is_constant(default: str | None) -> bool:
    """Whether a DEFAULT is a literal, the same for every row."""
    if default is None:
        return True
    tokens = significant(tokenize(default))
    if len(tokens) == 2 and tokens[0].text in ("+", "-"):
        # of -1.5e3 older rows would read the integer -1500, new ones the real number
        return tokens[1].text.isdecimal()
    return len(tokens) == 1 and not tokens[0].upper.startswith("CURRENT_")


def _new_checks(pair: Pair, names: frozenset[str]) -> Iterator[Check]:
    # the same words are another rule where they speak of other columns, or of values filled in; looking once
    # more does no harm
    names &= {fold(column.name) for table in (pair.found, pair.wanted) for column in table.columns}
    known = {canonical(tokenize(check.expression), names) for check in pair.found.checks}
    has_filled = any(is_filled(pair, column) for column in pair.wanted.columns)
    for check in pair.wanted.checks:
        words = canonical(tokenize(check.expression), names)
        if words not in known or has_filled or mentions(check.expression, pair.new_names):
            yield check


def _new_references(pair: Pair) -> Iterator[ForeignKey]:
    known = {_reference(key, {}) for key in pair.found.foreign_keys}
    return (key for key in pair.wanted.foreign_keys if _reference(key, pair.former_names) not in known)


def _reference(key: ForeignKey, names: dict[str, str]) -> tuple[object, ...]:
    columns = tuple(names.get(fold(name), fold(name)) for name in key.columns)
    return (columns, fold(key.parent), tuple(fold(name) for name in key.parent_columns))


def _is_newly_not_null(pair: Pair, column: Column) -> bool:
    source = pair.source(column)
    if not column.is_not_null or column is pair.wanted.rowid_column:
        return False
    return source is None or not source.is_not_null


def _has_new_default(pair: Pair, column: Column, names: frozenset[str]) -> bool:
    source = pair.source(column)
    if source is None or column.default == source.default:
        return False
    one, other = (default_shape(text.default or "NULL", names) for text in (column, source))
    return one != other


# -- indexes, views, triggers ----------------------------------------------------------------------


def _indexes(
    changes: tuple[Change, ...], pairing: Pairing, names: frozenset[str], *, exact: bool
) -> tuple[list[Index], list[Index], list[Index]]:
    """Sort indexes into dropped, created, and those of which only the text changes."""
    dropped: list[Index] = []
    created: list[Index] = [index for table in pairing.created for index in table.indexes]
    retold: list[Index] = []
    for change in changes:
        before = {fold(index.name): index for index in change.pair.found.indexes}
        wanted = {fold(index.name) for index in change.pair.wanted.indexes}
        own = [index for name, index in before.items() if name not in wanted]
        if change.way == "rebuild":
            created += [*change.pair.wanted.indexes, *([] if exact else own)]
            continue
        dropped += own if exact else []
        for index in change.pair.wanted.indexes:
            old = before.get(fold(index.name))
            if old is None or old.name != index.name or not _same_index(old, index, change.pair, names):
                created.append(index)
                dropped += [old] if old else []
            elif change.way != "nothing":
                retold.append(index)
    return _moved_between_tables(changes, dropped, created), created, retold


def _moved_between_tables(
    changes: tuple[Change, ...], dropped: list[Index], created: list[Index]
) -> list[Index]:
    """Drop also an index whose name is wanted on another table than the one it is on."""
    known = {fold(index.name) for index in dropped}
    wanted = {fold(index.name) for index in created}
    for change in changes:
        if change.way != "rebuild":
            dropped += [
                index
                for index in change.pair.found.indexes
                if fold(index.name) in wanted
                and fold(index.name) not in known
                and fold(index.name) not in {fold(one.name) for one in change.pair.wanted.indexes}
            ]
    return dropped


def _same_index(old: Index, new: Index, pair: Pair, names: frozenset[str]) -> bool:
    """Compare two indexes through the renames of their table and its columns."""
    renames = {fold(source.name): name for name, source in pair.sources.items() if fold(source.name) != name}
    if not renames and fold(old.table) == fold(new.table):
        return index_shape(old, names) == index_shape(new, names)
    if new.where is not None or any(term.expression is not None for term in new.terms):
        return False
    before = [
        (renames.get(fold(term.column or ""), fold(term.column or "")), term.collation, term.descending)
        for term in old.terms
    ]
    after = [(fold(term.column or ""), term.collation, term.descending) for term in new.terms]
    return (before, old.is_unique, old.where) == (after, new.is_unique, new.where)


def _views(found: Schema, wanted: Schema, *, exact: bool, everything: bool) -> tuple[list[View], list[View]]:
    """Give the views to drop and those to make; every one of them where tables change under them."""
    known = {fold(view.name): view for view in wanted.views}
    if everything:
        own = [] if exact else [view for view in found.views if fold(view.name) not in known]
        return list(found.views), [*wanted.views, *own]
    before = {fold(view.name): view for view in found.views}
    same = {name for name, view in known.items() if name in before and _same_text(view, before[name])}
    gone = [view for name, view in before.items() if name not in same and (exact or name in known)]
    return gone, [view for name, view in known.items() if name not in same]


def _triggers(
    found: Schema,
    wanted: Schema,
    dropped_views: set[str],
    *,
    exact: bool,
    everything: bool,
) -> tuple[list[Trigger], list[Trigger]]:
    """Give the triggers to drop and those to make; those of a dropped view go with it."""
    known = {fold(trigger.name): trigger for trigger in wanted.triggers}
    before = {fold(trigger.name): trigger for trigger in found.triggers}
    same = {
        name
        for name, trigger in known.items()
        if name in before
        and not everything
        and fold(trigger.table) not in dropped_views
        and _same_text(trigger, before[name])
    }
    gone = [
        trigger
        for name, trigger in before.items()
        if name not in same and (exact or everything or name in known or fold(trigger.table) in dropped_views)
    ]
    own = [] if exact else [trigger for trigger in gone if fold(trigger.name) not in known]
    return gone, [*(trigger for name, trigger in known.items() if name not in same), *own]


def _same_text(one: View | Trigger, other: View | Trigger) -> bool:
    # the letter case of a name in a query is that of a result's column
    return one.name == other.name and (one.sql == other.sql or spelled(one.sql) == spelled(other.sql))
