"""From changes to the actions that do them with the least waiting for everybody else.

New and empty tables get plain DDL. Tables with rows: indexes CONCURRENTLY, rules NOT VALID and then
validated, values filled in batches; what takes something away comes last. The plan is a function of what
stands there, so a migration that was interrupted goes on by planning again.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from datalayer.schema.catalog import CatalogColumn, CatalogConstraint
from datalayer.schema.pgchange.action import EXCLUSIVE, Action, Cost, Stage
from datalayer.schema.pgchange.change import Change, names_in_the_way
from datalayer.schema.pgchange.draft import Draft, add_rule, last_made_first, strongest, views_on
from datalayer.schema.pgchange.expanding import plan_expansion
from datalayer.schema.pgchange.filling import plan_filling
from datalayer.schema.pgchange.finishing import plan_code, plan_drops, plan_references
from datalayer.schema.pgchange.indexing import plan_indexes
from datalayer.schema.pgchange.names import mentions, temporary
from datalayer.schema.pgchange.renames import in_order
from datalayer.schema.pgchange.statements import (
    alter_column,
    column_text,
    create_table,
    default_text,
    drop_column,
    numbered,
)
from datalayer.schema.tokens import quote

__all__ = ["plan"]


def plan(draft: Draft) -> list[Action]:
    """Give all actions in order."""
    _rename(draft)
    _put_aside(draft)
    _loosen(draft)
    changed = [change.table for change in draft.changes if change.table]
    for table in dict.fromkeys([*changed, *(table for table, _ in draft.left.triggers)]):
        if table not in draft.wanted.catalog.tables or not _is_table(draft, table):
            continue
        if draft.of(table, "table", "add"):
            _create(draft, table)
        elif draft.is_empty(table):
            _change_empty(draft, table)
        else:
            _change_filled(draft, table)
    plan_expansion(draft)
    plan_references(draft)
    plan_code(draft)
    plan_drops(draft)
    _clean(draft)
    return sorted(draft.actions, key=attrgetter("stage"))


def _clean(draft: Draft) -> None:
    """Plan the removal of what an interrupted migration left and nothing takes up again."""
    for (table, name), rule in draft.left.constraints.items():
        if rule.kind in "pu" and (table, name) not in draft.used:
            drop = f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}"
            whole, locks = draft.around(set(), [drop], [(table, frozenset(rule.columns))])
            locks = strongest(locks, {table: EXCLUSIVE})
            draft.add(Stage.CLEAN, ("constraint", name, table), whole, locks=locks, group=f"clean {table}")
            draft.used |= {(table, name)}
    draft.actions += draft.left.removal(draft.used)


def _is_table(draft: Draft, name: str) -> bool:
    return name in draft.projection.found.tables or bool(draft.of(name, "table", "add"))


# -- names and loosening --------------------------------------------------------------------------


def _rename(draft: Draft) -> None:
    renames = draft.projection.renames
    risk = "programs that still use the old name fail from here on"
    for old, new in renames.tables.items():
        sql = f"ALTER TABLE {quote(old)} RENAME TO {quote(new)}"
        draft.add(Stage.RENAME, ("table", new, old), [sql], group="renames", risk=risk)
    for (table, old), new in in_order(renames.columns):
        now = renames.tables.get(table, table)
        sql = f"ALTER TABLE {quote(now)} RENAME COLUMN {quote(old)} TO {quote(new)}"
        draft.add(Stage.RENAME, ("column", new, table), [sql], group="renames", risk=risk)


def _put_aside(draft: Draft) -> None:
    """Take a name from an index that goes, where another table's index or a table is to have it."""
    kept = {change.name for change in draft.changes if change.verb == "rename"}
    for table, name in names_in_the_way(draft.projection.found, draft.wanted.catalog):
        if name not in kept:
            sql = f"ALTER INDEX {quote(name)} RENAME TO {quote(temporary('aside', table, name))}"
            draft.add(Stage.RENAME, ("index", name, table), [sql], locks={}, group="renames")


def _loosen(draft: Draft) -> None:
    for change in draft.changes:
        table, group = change.table, f"loosen {change.table}"
        if (change.kind, change.verb) == ("constraint", "rename"):
            names = f"{quote(change.name)} TO {quote(change.after.name)}"
            sql = f"ALTER TABLE {quote(table)} RENAME CONSTRAINT {names}"
            draft.add(Stage.LOOSEN, ("constraint", change.after.name, table), [sql], group=group)
        elif (change.kind, change.verb) == ("index", "rename"):
            sql = f"ALTER INDEX {quote(change.name)} RENAME TO {quote(change.after.name)}"
            draft.add(Stage.LOOSEN, ("index", change.after.name, table), [sql], locks={}, group=group)
        elif change.kind == "constraint" and _goes_first(change):
            sql = f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(change.name)}"
            locks = {table: EXCLUSIVE, change.before.parent or table: EXCLUSIVE}
            draft.add(Stage.LOOSEN, ("constraint", change.name, table), [sql], locks=locks, group=group)

    _make_way_for_tables(draft)


def _goes_first(change: Change) -> bool:
    """Whether a constraint is dropped before all else: a reference, or what a key takes its name from."""
    if change.verb == "drop":
        return change.before.kind == "f"
    if change.verb != "alter":
        return False
    before, after = change.before.kind, change.after.kind
    return (before == "f" and after != "f") or (before == "c" and after in "pu")


def _make_way_for_tables(draft: Draft) -> None:
    """Drop views where tables are to be; those that read them are made again with the other code."""
    found = draft.projection.found.view_texts
    names = {change.name for change in draft.changes if (change.kind, change.verb) == ("view", "drop")}
    names &= set(draft.wanted.catalog.tables)
    for view in (*views_on(found, set(), names), *last_made_first(found[name] for name in names)):
        sql = f"DROP VIEW {quote(view.name)}"
        draft.add(Stage.LOOSEN, ("view", view.name, view.name), [sql], group="views in the way")


# -- tables without rows --------------------------------------------------------------------------


def _create(draft: Draft, name: str) -> None:
    table = draft.wanted_table(name)
    draft.add(Stage.TABLES, ("table", name, name), [create_table(table)], locks={}, group="tables")
    for index in table.indexes.values():
        if index.constraint is None:
            statement = [index.statement(index.name)]
            draft.add(Stage.TABLES, ("index", index.name, name), statement, locks={}, group="tables")


def _change_empty(draft: Draft, table: str) -> None:
    """Change a table that has no rows: nothing to wait for, so everything directly."""
    mine = [change for change in draft.changes if change.table == table]
    dropped = [c for c in mine if (c.verb, c.kind) == ("drop", "column")]
    retyped = [c for c in mine if c.kind == "type"]
    remade = [c for c in mine if c.kind == "generated" and c.after.is_generated]
    keys = [(table, frozenset(c.before.columns)) for c in mine if c.kind == "constraint" and _is_key_drop(c)]
    statements = [*_drop_rules(table, mine), *_drop_indexes(mine)]
    statements += [drop_column(table, change.name) for change in (*remade, *dropped)]
    for change in mine:
        if (change.verb, change.kind) == ("add", "column") and not change.after.is_generated:
            statements.append(f"ALTER TABLE {quote(table)} ADD COLUMN {column_text(change.after)}")
    for change in retyped:
        statements += _retype(draft, table, change.before, change.after)
    statements += [text for change in mine for text in _column_facts(table, change)]
    for change in mine:
        if change.kind == "not null":
            statements += _not_null_again(draft, table, change)
    for change in (*remade, *(c for c in mine if (c.verb, c.kind) == ("add", "column"))):
        if change.after.is_generated:
            statements.append(f"ALTER TABLE {quote(table)} ADD COLUMN {column_text(change.after)}")
    statements += _add_rules(table, mine)
    if statements:
        places = {(table, change.name) for change in (*retyped, *remade, *dropped)}
        whole, locks = draft.around(places, statements, keys)
        locks = strongest(locks, {table: EXCLUSIVE})
        draft.add(Stage.EMPTY, ("table", table, table), whole, locks=locks, group=f"empty {table}")


def _is_key_drop(change: Change) -> bool:
    return change.verb in ("drop", "alter") and change.before.kind in "pu"


def _drop_rules(table: str, mine: list[Change]) -> Iterator[str]:
    for change in mine:
        if change.kind == "constraint" and change.verb in ("drop", "alter") and change.before.kind != "f":
            yield f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(change.name)}"


def _drop_indexes(mine: list[Change]) -> Iterator[str]:
    for change in mine:
        if change.kind == "index" and change.verb in ("drop", "alter"):
            yield f"DROP INDEX {quote(change.name)}"


def _add_rules(table: str, mine: list[Change]) -> Iterator[str]:
    for change in mine:
        if change.kind == "constraint" and change.verb in ("add", "alter") and change.after.kind != "f":
            yield add_rule(table, change.after.name, change.after.text, valid=True)
        elif change.kind == "validity":
            yield f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(change.name)}"
        elif change.kind == "index" and change.verb in ("add", "alter"):
            yield change.after.statement(change.after.name)


def _retype(draft: Draft, table: str, before: CatalogColumn, after: CatalogColumn) -> Iterator[str]:
    conversion = draft.projection.conversion(before, after)
    if before.default is not None:
        yield default_text(table, after.name, None)
    collation = f" COLLATE {quote(after.collation)}" if after.collation else ""
    using = "" if conversion.is_in_place else f" USING {conversion.value(quote(after.name))}"
    if before.identity and after.type not in ("smallint", "integer", "bigint"):
        yield alter_column(table, after.name, "DROP IDENTITY")
    yield alter_column(table, after.name, f"TYPE {after.type}{collation}{using}")
    if after.default is not None and before.default is not None:
        yield default_text(table, after.name, after.default)


def _column_facts(table: str, change: Change) -> Iterator[str]:
    """Write the changes of a column that touch no row: default, numbering, no longer computed."""
    if change.kind == "default":
        yield default_text(table, change.name, change.after.default)
    elif change.kind == "identity":
        yield from numbered(table, change.name, change.before, change.after)
    elif change.kind == "generated" and not change.after.is_generated:
        yield alter_column(table, change.name, "DROP EXPRESSION")
        if change.after.default is not None:
            yield default_text(table, change.name, change.after.default)


def _not_null_again(draft: Draft, table: str, change: Change) -> Iterator[str]:
    if not change.after.is_not_null:
        yield alter_column(table, change.name, "DROP NOT NULL")
        return
    unproved = [
        rule.name
        for rule in draft.found_table(table).constraints.values()
        if rule.kind == "n" and not rule.is_valid and rule.columns == (change.name,)
    ]
    for name in unproved:
        yield f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(name)}"
    if not unproved:
        yield alter_column(table, change.name, "SET NOT NULL")


# -- tables with rows -----------------------------------------------------------------------------


def _change_filled(draft: Draft, table: str) -> None:
    rewritten = _choose_ways(draft, table)
    _columns(draft, table, rewritten)
    _types(draft, table, rewritten)
    plan_filling(draft, table)
    plan_indexes(draft, table)
    _let_keys_go(draft, table)


def _key_columns(draft: Draft, table: str) -> set[str]:
    """Give the columns that may not be NULL for as long as the primary key stands that is there now."""
    rules = draft.found_table(table).constraints.values()
    return {column for rule in rules if rule.kind == "p" for column in rule.columns}


def _let_keys_go(draft: Draft, table: str) -> None:
    """Plan what loosens the columns of a primary key that has gone: behind the step that drops it."""
    key, expanded = _key_columns(draft, table), draft.stand_in(table)
    stage, group = (Stage.REFERENCES, "") if expanded else (Stage.KEYS, f"keys {table}")
    for change in draft.of(table, "not null"):
        if change.name in key and not change.after.is_not_null and change.name not in expanded:
            statement = alter_column(table, change.name, "DROP NOT NULL")
            draft.add(stage, ("column", change.name, table), [statement], group=group or f"loosen {table}")


def _choose_ways(draft: Draft, table: str) -> dict[str, Change]:
    """Give the type changes that are done in place; the others get a column that replaces theirs."""
    found = draft.found_table(table)
    read_by_computed = {
        name
        for name in found.columns
        if any(column.is_generated and mentions(column.default, name) for column in found.columns.values())
    }
    fires = any(" UPDATE " in definition for definition, _ in found.triggers.values())
    in_place: dict[str, Change] = {}
    for change in draft.of(table, "type"):
        is_cheap = draft.projection.conversion(change.before, change.after).is_in_place
        # a backfill is an UPDATE: where triggers cannot be kept quiet, only a rewrite leaves them alone
        if is_cheap or change.name in read_by_computed or (fires and not draft.can_silence_triggers):
            in_place[change.name] = change
        else:
            draft.expanded[table, change.name] = _replacement(table, change.after)
    return in_place


def _replacement(table: str, column: CatalogColumn) -> str:
    from_parts = ("column", table, column.name, column.type, column.collation or "")
    return temporary(*from_parts)


def _columns(draft: Draft, table: str, in_place: dict[str, Change]) -> None:
    """Plan what touches no row, in one transaction: columns added, rules loosened or not yet valid."""
    group, later = f"columns {table}", _later(draft, table, in_place)
    key = _key_columns(draft, table)
    for change in draft.of(table, "column", "add"):
        column: CatalogColumn = change.after
        if column.is_generated or column.identity:
            continue
        is_volatile = (table, column.name) in draft.wanted.volatile
        text = column_text(column, with_default=not is_volatile, with_not_null=not is_volatile)
        statements = [f"ALTER TABLE {quote(table)} ADD COLUMN {text}"]
        if is_volatile:
            statements.append(default_text(table, column.name, column.default))
        draft.add(Stage.COLUMNS, ("column", column.name, table), statements, group=group)
    for change in draft.changes:
        if change.table != table or (table, change.name) in draft.expanded or change.name in in_place:
            continue
        statements = list(_column_facts(table, change))
        if change.kind == "not null" and not change.after.is_not_null and change.name not in key:
            statements.append(alter_column(table, change.name, "DROP NOT NULL"))
        if statements:
            draft.add(Stage.COLUMNS, ("column", change.name, table), statements, group=group)
    for change in draft.of(table, "constraint", "drop", "add", "alter"):
        _check(draft, table, change, later)


def _later(draft: Draft, table: str, in_place: dict[str, Change]) -> set[str]:
    """Give the columns that are not yet what they will be when the cheap changes are done."""
    later = set(in_place) | set(draft.stand_in(table))
    later |= {c.name for c in draft.of(table, "generated") if c.after.is_generated}
    later |= {c.name for c in draft.of(table, "column", "add") if c.after.is_generated or c.after.identity}
    return later


def _check(draft: Draft, table: str, change: Change, later: set[str]) -> None:
    rule: CatalogConstraint = change.after or change.before
    if rule.kind != "c" or (change.verb != "drop" and later & set(rule.columns)):
        return
    statements: list[str] = []
    if change.verb != "add" and change.before.kind == "c":
        statements.append(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(change.name)}")
    if change.verb != "drop":
        statements.append(add_rule(table, rule.name, rule.text, valid=False))
        draft.validate(rule, table, Stage.CHECKS)
    draft.add(Stage.COLUMNS, ("constraint", rule.name, table), statements, group=f"columns {table}")


def _types(draft: Draft, table: str, in_place: dict[str, Change]) -> None:
    """Plan the columns that change where they stand, and those that are computed: one transaction."""
    computed = [c for c in draft.of(table, "generated") if c.after.is_generated]
    added = [c for c in draft.of(table, "column", "add") if c.after.is_generated or c.after.identity]
    if not (in_place or computed or added):
        return
    touched = {*in_place, *(change.name for change in computed)}
    body = list(_drop_checks(draft, table, set(in_place)))
    body += [drop_column(table, change.name) for change in computed]
    for change in in_place.values():
        body += _retype(draft, table, change.before, change.after)
        for other in draft.changes:
            if (other.table, other.name) == (table, change.name):
                body += _column_facts(table, other)
                is_in_key = other.name in _key_columns(draft, table)
                if other.kind == "not null" and not other.after.is_not_null and not is_in_key:
                    body.append(alter_column(table, change.name, "DROP NOT NULL"))
    body += [f"ALTER TABLE {quote(table)} ADD COLUMN {column_text(c.after)}" for c in (*computed, *added)]
    known = touched | {change.name for change in added}
    expanded = set(draft.stand_in(table))
    for rule in draft.wanted_table(table).constraints.values():
        if rule.kind == "c" and known & set(rule.columns) and not expanded & set(rule.columns):
            body.append(add_rule(table, rule.name, rule.text, valid=False))
            draft.validate(rule, table, Stage.CHECKS)
    whole, locks = draft.around({(table, name) for name in touched}, body)
    cost = _cost_in_place(draft, table, in_place, has_computed=bool(computed or added))
    risk = {"rewrite": "the whole table is written anew", "scan": "its indexes are built anew"}.get(cost, "")
    name = ("column", ", ".join(sorted(known)), table)
    locks = strongest(locks, {table: EXCLUSIVE})
    draft.add(Stage.TYPES, name, whole, cost=cost, locks=locks, group=f"types {table}", risk=risk)


def _drop_checks(draft: Draft, table: str, columns: set[str]) -> Iterator[str]:
    """Take off the CHECKs of columns that get another type: PostgreSQL would try them on every row."""
    dropped = {change.name for change in draft.of(table, "constraint", "drop")}
    names = {change.name: change.after.name for change in draft.of(table, "constraint", "rename")}
    for rule in draft.found_table(table).constraints.values():
        if rule.kind == "c" and columns & set(rule.columns) and rule.name not in dropped:
            name = quote(names.get(rule.name, rule.name))
            yield f"ALTER TABLE {quote(table)} DROP CONSTRAINT {name}"


def _cost_in_place(draft: Draft, table: str, in_place: dict[str, Change], *, has_computed: bool) -> Cost:
    conversions = {
        name: draft.projection.conversion(change.before, change.after) for name, change in in_place.items()
    }
    if has_computed or not all(conversion.is_in_place for conversion in conversions.values()):
        return "rewrite"
    indexes = draft.found_table(table).indexes.values()
    rebuilt = any(
        conversion.rebuilds_indexes and any(mentions(index.tail, name) for index in indexes)
        for name, conversion in conversions.items()
    )
    return "scan" if rebuilt else "free"
