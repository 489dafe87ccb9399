"""Values for rows that stand already, and the NOT NULLs that hold afterwards."""

from __future__ import annotations

from datalayer.schema.catalog import CatalogColumn
from datalayer.schema.pgchange.action import EXCLUSIVE, ROW, WEAK, Action, Fill, Stage
from datalayer.schema.pgchange.draft import Draft
from datalayer.schema.pgchange.names import NAME_BYTES, temporary
from datalayer.schema.pgchange.statements import OUR_SETTINGS, alter_column, dollar_quoted
from datalayer.schema.tokens import quote

__all__ = ["has_not_null_rules", "not_null_rule", "plan_filling", "prove_not_null", "with_default"]

_HAS_NOT_NULL_RULES = 180_000


def _converted(draft: Draft, before: CatalogColumn, after: CatalogColumn, sql: str) -> str:
    """Write a value of the old type as one of the new, with the default where there must be one."""
    return with_default(before, after, draft.projection.conversion(before, after).value(sql))


def with_default(before: CatalogColumn, after: CatalogColumn, value: str) -> str:
    """Put the default in the place of a NULL where there must be a value from now on."""
    return f"coalesce({value}, {after.default})" if _takes_default(before, after) else value


def _takes_default(before: CatalogColumn, after: CatalogColumn) -> bool:
    return after.is_not_null and not before.is_not_null and after.default is not None


def plan_filling(draft: Draft, table: str) -> None:
    """Plan the one pass over a table that writes all new values, and the NOT NULLs that then hold."""
    sets: list[tuple[str, str]] = []
    conditions: list[str] = []
    proved: list[str] = []
    for column in _filled_by_default(draft, table):
        name = quote(column.name)
        sets.append((column.name, f"coalesce({name}, {column.default})"))
        conditions.append(f"{name} IS NULL")
        _keep_filled(draft, table, column)
    in_place_computed = {c.name for c in draft.of(table, "generated") if c.after.is_generated}
    for change in draft.of(table, "column", "add"):
        is_volatile = (table, change.name) in draft.wanted.volatile and not change.after.identity
        proved += [change.name] if is_volatile and change.after.is_not_null else []
    for change in draft.of(table, "not null"):
        if (table, change.name) not in draft.expanded and change.after.is_not_null:
            proved += [change.name] if change.name not in in_place_computed else []
    for change in draft.of(table, "type"):
        stand_in = draft.expanded.get((table, change.name))
        if stand_in is None:
            continue
        name = quote(change.name)
        sets.append((stand_in, _converted(draft, change.before, change.after, name)))
        is_filled = _takes_default(change.before, change.after)
        conditions.append(f"{quote(stand_in)} IS NULL" + ("" if is_filled else f" AND {name} IS NOT NULL"))
    if sets:
        _fill(draft, Fill(table, tuple(sets), tuple(conditions)))
    for name in proved:
        prove_not_null(draft, table, name)


def _filled_by_default(draft: Draft, table: str) -> list[CatalogColumn]:
    """Give the columns whose rows get the default where they have no value yet."""
    columns = [
        change.after
        for change in draft.of(table, "column", "add")
        if (table, change.name) in draft.wanted.volatile and not change.after.identity
    ]
    columns += [
        change.after
        for change in draft.of(table, "not null")
        if (table, change.name) not in draft.expanded and _takes_default(change.before, change.after)
    ]
    known = {column.name for column in columns}
    # interrupted while it was filled: nothing else tells, where NULL is allowed
    return columns + [
        column
        for column in draft.wanted_table(table).columns.values()
        if column.name not in known
        and column.default is not None
        and (table, _keeper(table, column)) in draft.left.triggers
    ]


def _keeper(table: str, column: CatalogColumn) -> str:
    return temporary("fill", table, column.name, column.default or "")


def _keep_filled(draft: Draft, table: str, column: CatalogColumn) -> None:
    """Plan the trigger that fills what others write meanwhile.

    An UPDATE gives no default: a row that is not filled yet moves with it to where the filling has been.
    """
    name = quote(_keeper(table, column))
    draft.used |= {(table, _keeper(table, column)), ("", f"{name}()")}
    value = f"NEW.{quote(column.name)}"
    body = dollar_quoted(
        f" BEGIN IF {value} IS NULL THEN {value} := {column.default}; END IF; RETURN NEW; END "
    )
    if (table, _keeper(table, column)) not in draft.left.triggers:
        statements = [
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql{OUR_SETTINGS} AS {body}",
            f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {quote(table)}"
            f" FOR EACH ROW EXECUTE FUNCTION {name}()",
        ]
        draft.add(Stage.COLUMNS, ("column", column.name, table), statements, group=f"columns {table}")
    statements = [f"DROP TRIGGER {name} ON {quote(table)}", f"DROP FUNCTION {name}()"]
    draft.add(Stage.REFERENCES, ("column", column.name, table), statements, group=f"filled {table}")


def _fill(draft: Draft, fill: Fill) -> None:
    chosen = ", ".join(f"{quote(name)} = {value}" for name, value in fill.sets)
    where = " OR ".join(f"({condition})" for condition in fill.conditions)
    sql = f"UPDATE {quote(fill.table)} SET {chosen} WHERE {where}"
    risk = "in batches of some thousand rows; triggers do not fire"
    if not draft.can_silence_triggers:
        risk = "in batches of some thousand rows; triggers on UPDATE fire: this user may not keep them quiet"
    draft.actions.append(
        Action(
            Stage.FILL,
            "rows",
            fill.table,
            fill.table,
            (sql,),
            "weak",
            {fill.table: ROW},
            "",
            False,
            fill,
            risk,
        )
    )


def has_not_null_rules(draft: Draft) -> bool:
    """Whether a NOT NULL is a constraint of its own, which can be added before it is validated."""
    return draft.server_version >= _HAS_NOT_NULL_RULES


def prove_not_null(draft: Draft, table: str, column: str, label: str = "") -> None:
    """Plan a NOT NULL without a scan that anybody waits for: as a rule not yet valid, validated afterwards.

    PostgreSQL 18 has that for NOT NULL itself; before, SET NOT NULL trusts a validated CHECK. `label` is
    what the column is called in the plan, where it stands in for another.
    """
    name = ("column", label or column, table)
    if has_not_null_rules(draft):
        _prove_by_rule(draft, name, column)
    else:
        _prove_by_check(draft, name, column)


def _prove_by_rule(draft: Draft, name: tuple[str, str, str], column: str) -> None:
    table, alter = name[2], f"ALTER TABLE {quote(name[2])}"
    have = draft.projection.found.tables[table].constraints.values()
    known = {rule.columns[0]: rule for rule in have if rule.kind == "n" and rule.columns}
    known |= {
        rule.columns[0]: rule for (owner, _), rule in draft.left.constraints.items()
        if owner == table and rule.kind == "n" and rule.columns
    }  # fmt: skip
    rule = known.get(column)
    rule_name = rule.name if rule else not_null_rule(draft, table, column)
    draft.used.add((table, rule_name))
    if rule is None:
        sql = f"{alter} ADD CONSTRAINT {quote(rule_name)} NOT NULL {quote(column)} NOT VALID"
        draft.add(Stage.NOT_NULL, name, [sql], group=f"not null {table}")
    if rule is None or not rule.is_valid:
        sql = f"{alter} VALIDATE CONSTRAINT {quote(rule_name)}"
        draft.add(Stage.NOT_NULL, name, [sql], cost="weak", locks={table: WEAK})


def _prove_by_check(draft: Draft, name: tuple[str, str, str], column: str) -> None:
    table, alter = name[2], f"ALTER TABLE {quote(name[2])}"
    rule_name = temporary("not null", table, column)
    left = draft.left.constraints.get((table, rule_name))
    draft.used.add((table, rule_name))
    if left is None:
        sql = f"{alter} ADD CONSTRAINT {quote(rule_name)} CHECK ({quote(column)} IS NOT NULL) NOT VALID"
        draft.add(Stage.NOT_NULL, name, [sql], group=f"not null {table}")
    if left is None or not left.is_valid:
        sql = f"{alter} VALIDATE CONSTRAINT {quote(rule_name)}"
        draft.add(Stage.NOT_NULL, name, [sql], cost="weak", locks={table: WEAK})
    statements = [
        alter_column(table, column, "SET NOT NULL"),
        f"{alter} DROP CONSTRAINT {quote(rule_name)}",
    ]
    draft.add(Stage.NOT_NULL, name, statements, locks={table: EXCLUSIVE}, group=f"proved {table} {column}")


def not_null_rule(draft: Draft, table: str, column: str) -> str:
    """Name a NOT NULL as PostgreSQL 18 would, unless that is taken or too long."""
    name = f"{table}_{column}_not_null"
    # cut off, those of two columns might be the same
    is_free = name not in draft.found_table(table).constraints and len(name.encode()) <= NAME_BYTES
    return name if is_free else f"not_null_{temporary('not null', table, column)[11:]}"
