"""What comes after the columns: references, then functions, triggers and views, and last what goes."""

from __future__ import annotations

from datalayer.schema.pgchange.action import EXCLUSIVE, SHARE_ROW, Cost, Stage
from datalayer.schema.pgchange.change import Change, is_ours
from datalayer.schema.pgchange.draft import Draft, add_rule, last_made_first, views_on
from datalayer.schema.pgchange.statements import drop_column
from datalayer.schema.tokens import quote

__all__ = ["plan_code", "plan_drops", "plan_references"]

_GONE = "what is dropped is gone, and programs that still use it fail"


# -- references -----------------------------------------------------------------------------------


def plan_references(draft: Draft) -> None:
    """Plan references: not yet valid, then validated in a step of their own."""
    for change in draft.changes:
        rule = change.after
        if change.kind == "validity":
            if not draft.is_empty(change.table):
                draft.validate(rule, change.table, Stage.VALIDATE)
            continue
        if change.kind != "constraint" or change.verb not in ("add", "alter") or rule.kind != "f":
            continue
        table, is_empty = change.table, draft.is_empty(change.table)
        statements = [add_rule(table, rule.name, rule.text, valid=is_empty)]
        locks = {table: SHARE_ROW, rule.parent: SHARE_ROW}
        if change.verb == "alter":
            statements.insert(0, f"ALTER TABLE {quote(table)} DROP CONSTRAINT IF EXISTS {quote(change.name)}")
            locks = {table: EXCLUSIVE, rule.parent: EXCLUSIVE, change.before.parent: EXCLUSIVE}
        present = set(draft.projection.found.tables)
        locks = {name: mode for name, mode in locks.items() if name in present}
        cost: Cost = "free" if change.verb == "alter" or not locks else "stops writes"
        draft.add(
            Stage.REFERENCES, ("constraint", rule.name, table), statements, cost=cost, locks=locks,
            group=f"reference {table} {rule.name}",
        )  # fmt: skip
        if not is_empty:
            draft.validate(rule, table, Stage.VALIDATE)


# -- functions, triggers, views -------------------------------------------------------------------


def plan_code(draft: Draft) -> None:
    """Plan functions, triggers and views in one transaction: old code or new, never half of it."""
    views = [change for change in draft.changes if change.kind == "view"]
    found = draft.projection.found.view_texts
    gone = {change.name for change in views if change.before is not None}
    off = last_made_first([*views_on(found, set(), gone), *(found[name] for name in sorted(gone))])
    made_way = {each.name for each in draft.actions if (each.kind, each.stage) == ("view", Stage.LOOSEN)}
    for view in off:
        if view.name in made_way:
            continue
        kind = "MATERIALIZED VIEW" if view.is_materialized else "VIEW"
        sql = f"DROP {kind} IF EXISTS {quote(view.name)}"
        draft.add(Stage.CODE, ("view", view.name, view.name), [sql], group="code")
    for change in draft.changes:
        if change.kind == "function":
            sql = draft.wanted.functions[change.name]
            draft.add(Stage.CODE, ("function", change.name, ""), [sql], locks={}, group="code")
    for change in draft.changes:
        if (change.kind, change.verb) == ("table", "drop") and change.name in draft.wanted.catalog.views:
            name, sql = ("table", change.name, change.name), f"DROP TABLE {quote(change.name)}"
            draft.add(Stage.CODE, name, [sql], group="code", risk=_GONE)
    tables = set(draft.wanted.catalog.tables)
    _triggers(draft, [c for c in draft.changes if c.kind == "trigger" and c.table in tables])
    wanted = {change.name for change in views if change.after is not None}
    for name, sql in draft.wanted.views:
        if name in wanted:
            draft.add(Stage.CODE, ("view", name, name), [sql], locks={}, group="code")
    for view in reversed([view for view in off if view.name not in gone]):
        again = [f"CREATE VIEW {quote(view.name)} AS {view.query}", *view.grants]
        again += [definition for definition, _ in view.triggers.values()]
        draft.add(Stage.CODE, ("view", view.name, view.name), again, locks={}, group="code")
    _triggers(draft, [c for c in draft.changes if c.kind == "trigger" and c.table not in tables])


def _triggers(draft: Draft, changes: list[Change]) -> None:
    present = set(draft.projection.found.tables)
    for change in changes:
        table, name = change.table, change.name
        if change.verb == "drop":
            sql = f"DROP TRIGGER IF EXISTS {quote(name)} ON {quote(table)}"
            draft.add(Stage.CODE, ("trigger", name, table), [sql], group="code")
            _drop_function(draft, change.before, Stage.CODE)
            continue
        sql = change.after.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)
        locks = {table: SHARE_ROW} if table in present else {}
        cost: Cost = "stops writes" if locks else "free"
        draft.add(Stage.CODE, ("trigger", name, table), [sql], cost=cost, locks=locks, group="code")


def _drop_function(draft: Draft, definition: str, stage: Stage) -> None:
    """Drop the function of a trigger that goes, unless something else uses it."""
    if not is_ours(definition):
        return
    signature = definition.rpartition(" EXECUTE FUNCTION ")[2]
    remaining = [
        text
        for table in draft.wanted.catalog.tables.values()
        for text, _ in table.triggers.values()
        if text.endswith(f" EXECUTE FUNCTION {signature}")
    ]
    users = [
        text
        for table in draft.projection.found.tables.values()
        for text, _ in table.triggers.values()
        if text.endswith(f" EXECUTE FUNCTION {signature}")
    ]
    if not remaining and len(users) == 1 and signature in draft.projection.found.functions:
        draft.add(stage, ("function", signature, ""), [f"DROP FUNCTION {signature}"], locks={}, group="code")


# -- what goes ------------------------------------------------------------------------------------


def plan_drops(draft: Draft) -> None:
    """Plan what takes something away: indexes, columns, tables."""
    wanted = draft.wanted.catalog
    tables = [
        change
        for change in draft.changes
        if (change.kind, change.verb) == ("table", "drop") and change.name not in wanted.views
    ]
    for change in draft.changes:
        table = change.table
        if draft.is_empty(table) and change.kind != "table":
            continue
        if (change.kind, change.verb) == ("index", "drop"):
            if change.name in draft.wanted_table(table).indexes:
                continue  # a key took its place and name
            sql = f"DROP INDEX IF EXISTS {quote(change.name)}"
            draft.add(Stage.DROPS, ("index", change.name, table), [sql], group=f"drops {table}")
        elif (change.kind, change.verb) == ("column", "drop"):
            whole, locks = draft.around(
                {(table, change.name)}, [drop_column(table, change.name)], is_last=True
            )
            name = ("column", change.name, table)
            draft.add(Stage.DROPS, name, whole, locks=locks, group=f"drops {table}", risk=_GONE)
    if tables:
        names = ", ".join(quote(change.name) for change in tables)
        locks = {change.name: EXCLUSIVE for change in tables}
        name = ("table", ", ".join(change.name for change in tables), tables[0].name)
        draft.add(Stage.DROPS, name, [f"DROP TABLE {names}"], locks=locks, group="drops", risk=_GONE)
        for change in tables:
            for definition, _ in change.before.triggers.values():
                _drop_function(draft, definition, Stage.DROPS)
