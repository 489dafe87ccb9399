"""Columns whose values must be written anew: a second column beside the old one, then the two change places.

A trigger keeps the new column right while batches fill it; a validated CHECK proves that every row agrees;
one short transaction swaps names, keys, references, triggers and views.
"""

from __future__ import annotations

from datalayer.schema.catalog import CatalogColumn, CatalogConstraint
from datalayer.schema.pgchange.action import EXCLUSIVE, WEAK, Stage
from datalayer.schema.pgchange.change import Change
from datalayer.schema.pgchange.conversion import column_type
from datalayer.schema.pgchange.draft import Draft, Key, add_rule, strongest
from datalayer.schema.pgchange.filling import has_not_null_rules, not_null_rule, prove_not_null, with_default
from datalayer.schema.pgchange.indexing import key_drops, put_in_place, to_build
from datalayer.schema.pgchange.names import rename_in, temporary
from datalayer.schema.pgchange.statements import (
    OUR_SETTINGS,
    default_text,
    dollar_quoted,
    numbered,
    sequence_name,
)
from datalayer.schema.tokens import quote

__all__ = ["plan_expansion"]


def plan_expansion(draft: Draft) -> None:
    """Plan the replacement of all columns that cannot change where they stand; one swap for all tables."""
    tables = list(dict.fromkeys(table for table, _ in draft.expanded))
    body: list[str] = []
    keys: list[Key] = []
    for table in tables:
        for change in draft.of(table, "type"):
            if (table, change.name) in draft.expanded:
                _expand(draft, change)
                _prove(draft, change)
        _checks(draft, table)
        _measure(draft, table)
        statements, gone = _swap(draft, table)
        body += statements
        keys += gone
    if tables:
        whole, locks = draft.around(set(draft.expanded), body, keys)
        locks = strongest(locks, dict.fromkeys(tables, EXCLUSIVE))
        names = ", ".join(f"{table}.{column}" for table, column in draft.expanded)
        risk = "statements that other sessions prepared and that read these columns are to be prepared again"
        draft.add(Stage.SWAP, ("column", names, tables[0]), whole, locks=locks, group="swap", risk=risk)


def _expand(draft: Draft, change: Change) -> None:
    """Plan the second column, and the trigger that writes it with every new row."""
    table, after = change.table, change.after
    name = draft.expanded[table, change.name]
    function = trigger = temporary("trigger", table, change.name, after.type, after.collation or "")
    signature = f"{quote(function)}()"
    draft.used |= {(table, name), (table, trigger), ("", signature), ("", _converter(draft, change) or "")}
    statements: list[str] = []
    if (table, name) not in draft.left.columns:
        statements.append(f"ALTER TABLE {quote(table)} ADD COLUMN {quote(name)} {column_type(after)}")
    if (table, trigger) not in draft.left.triggers:
        settings, converter = "", _converter(draft, change)
        if converter is not None:
            settings = OUR_SETTINGS
            value = draft.projection.conversion(change.before, after).value("$1")
            head = f"CREATE OR REPLACE FUNCTION {converter} RETURNS {after.type} LANGUAGE sql{settings}"
            statements.append(f"{head} AS {dollar_quoted(f'SELECT {value}')}")
        value = _value(draft, change, f"NEW.{quote(change.name)}")
        value = with_default(change.before, after, value)
        body = dollar_quoted(f" BEGIN NEW.{quote(name)} := {value}; RETURN NEW; END ")
        statements.append(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS trigger LANGUAGE plpgsql{settings} AS {body}"
        )
        statements.append(
            f"CREATE TRIGGER {quote(trigger)} BEFORE INSERT OR UPDATE ON {quote(table)}"
            f" FOR EACH ROW EXECUTE FUNCTION {signature}"
        )
    if statements:
        draft.add(Stage.EXPAND, ("column", change.name, table), statements, group=f"expand {table}")


def _measure(draft: Draft, table: str) -> None:
    """Plan ANALYZE: the planner would know nothing of the new columns until autovacuum comes by."""
    name = ("statistics", table, table)
    draft.add(Stage.KEYS, name, [f"ANALYZE {quote(table)}"], cost="weak", locks={table: WEAK})


def _converter(draft: Draft, change: Change) -> str | None:
    """Give the signature of the function by which every session converts as ours does; None where all do."""
    conversion = draft.projection.conversion(change.before, change.after)
    if conversion.is_steady:
        return None
    parts = ("value", change.table, change.name, change.after.type, change.after.collation or "")
    return f"{quote(temporary(*parts))}({conversion.argument})"


def _value(draft: Draft, change: Change, sql: str) -> str:
    """Write the new value for an old one, for sessions of others."""
    converter = _converter(draft, change)
    if converter is None:
        return draft.projection.conversion(change.before, change.after).value(sql)
    return f"{converter.rpartition('(')[0]}({sql})"


def _prove(draft: Draft, change: Change) -> None:
    """Plan the proof that the new column says what the old one does, and its NOT NULL."""
    table, name = change.table, draft.expanded[change.table, change.name]
    old, new = quote(change.name), quote(name)
    value = _value(draft, change, old)
    rule_name = temporary("proof", table, change.name, change.after.type)
    rule = CatalogConstraint(rule_name, "c", f"CHECK ({old} IS NULL OR ({new} = {value}) IS TRUE)", True)
    _temporary_rule(draft, table, rule, ("column", change.name), rule_name)
    if change.after.is_not_null:
        prove_not_null(draft, table, name, change.name)


def _temporary_rule(
    draft: Draft, table: str, rule: CatalogConstraint, about: tuple[str, str], name: str
) -> None:
    left = draft.left.constraints.get((table, name))
    draft.used.add((table, name))
    if left is None:
        statement = add_rule(table, name, rule.text, valid=False)
        draft.add(Stage.CHECKS, (*about, table), [statement], group=f"checks {table}")
    if left is None or not left.is_valid:
        sql = f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(name)}"
        draft.add(Stage.CHECKS, (*about, table), [sql], cost="weak", locks={table: WEAK})


def _checks(draft: Draft, table: str) -> None:
    for rule, name, text in _moving_checks(draft, table):
        meanwhile = CatalogConstraint(name, "c", text, True)
        _temporary_rule(draft, table, meanwhile, ("constraint", rule.name), name)


def _moving_checks(draft: Draft, table: str) -> list[tuple[CatalogConstraint, str, str]]:
    """Give the wanted CHECKs that read a replaced column, with their names and texts meanwhile."""
    stand_in = draft.stand_in(table)
    return [
        (rule, temporary("check", table, rule.name, text), text)
        for rule in draft.wanted_table(table).constraints.values()
        if rule.kind == "c" and set(stand_in) & set(rule.columns)
        for text in (rename_in(rule.text, stand_in),)
    ]


def _swap(draft: Draft, table: str) -> tuple[list[str], list[Key]]:
    """Give the statements by which the replacements of one table take the places of the old columns."""
    stand_in = draft.stand_in(table)
    statements, keys = key_drops(draft, table)
    found = draft.found_table(table)
    moved = to_build(draft, table)
    keys += [
        (table, frozenset(rule.columns))
        for rule in found.constraints.values()
        if rule.kind in "pu" and set(rule.columns) & set(stand_in)
    ]
    for change in draft.of(table, "type"):
        if change.name not in stand_in:
            continue
        statements += _replace(draft, change, stand_in[change.name])
        statements += _name_not_null(draft, change, stand_in[change.name])
    for rule, name, _ in _moving_checks(draft, table):
        if rule.name in found.constraints and not set(found.constraints[rule.name].columns) & set(stand_in):
            statements.append(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(rule.name)}")
        statements.append(f"ALTER TABLE {quote(table)} RENAME CONSTRAINT {quote(name)} TO {quote(rule.name)}")
    for index in moved:
        statements += put_in_place(draft, index, stand_in)
    return statements, keys


def _name_not_null(draft: Draft, change: Change, name: str) -> list[str]:
    """Give the statement that calls the new column's NOT NULL by the column's lasting name."""
    table, column = change.table, change.name
    if not change.after.is_not_null or not has_not_null_rules(draft):
        return []
    left = [
        rule.name
        for (owner, _), rule in draft.left.constraints.items()
        if owner == table and rule.kind == "n" and rule.columns == (name,)
    ]
    old = left[0] if left else not_null_rule(draft, table, name)
    taken = draft.found_table(table).constraints.get(f"{table}_{column}_not_null")
    if taken is None or taken.columns != (column,):
        # what is there under that name belongs to something else, or nothing is and another was chosen
        return [] if taken else _rename_rule(table, old, not_null_rule(draft, table, column))
    return _rename_rule(table, old, taken.name)


def _rename_rule(table: str, old: str, new: str) -> list[str]:
    return [f"ALTER TABLE {quote(table)} RENAME CONSTRAINT {quote(old)} TO {quote(new)}"]


def _replace(draft: Draft, change: Change, name: str) -> list[str]:
    table, converter = change.table, _converter(draft, change)
    before: CatalogColumn = change.before
    after: CatalogColumn = change.after
    alter = f"ALTER TABLE {quote(table)}"
    trigger = quote(temporary("trigger", table, change.name, after.type, after.collation or ""))
    statements = [f"DROP TRIGGER {trigger} ON {quote(table)}", f"DROP FUNCTION {trigger}()"]
    if after.identity:
        statements += numbered(table, name, before, after, is_new=True)
    statements += [
        f"{alter} DROP COLUMN {quote(change.name)}",
        f"{alter} RENAME COLUMN {quote(name)} TO {quote(change.name)}",
    ]
    if converter is not None:
        statements.append(f"DROP FUNCTION {converter}")
    if after.identity:
        statements.append(sequence_name(table, change.name))
    elif after.default is not None:
        statements.append(default_text(table, change.name, after.default))
    return statements
