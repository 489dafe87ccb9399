"""A plan while it is made: what it starts from, and what hangs on a column that is about to change.

What hangs on it (references, views, triggers) is taken off and put back within one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datalayer.schema.catalog import CatalogConstraint, CatalogTable, CatalogView
from datalayer.schema.pgchange.action import EXCLUSIVE, ROW_SHARE, SHARE_ROW, WEAK, Action, Cost, Size, Stage
from datalayer.schema.pgchange.change import Change
from datalayer.schema.pgchange.leftovers import Leftovers, Place
from datalayer.schema.pgchange.names import mentions
from datalayer.schema.pgchange.projection import Projection
from datalayer.schema.pgchange.wanted import Wanted
from datalayer.schema.tokens import quote

__all__ = ["Draft", "Key", "add_rule", "last_made_first", "strongest", "views_on"]

# a table and the columns of one of its keys
Key = tuple[str, frozenset[str]]
_STRENGTH = (ROW_SHARE, "RowExclusiveLock", WEAK, SHARE_ROW, EXCLUSIVE)


def strongest(*locks: Mapping[str, str]) -> dict[str, str]:
    """Merge what statements of one transaction lock."""
    merged: dict[str, str] = {}
    for each in locks:
        for table, mode in each.items():
            if table not in merged or _STRENGTH.index(mode) > _STRENGTH.index(merged[table]):
                merged[table] = mode
    return merged


def add_rule(table: str, name: str, text: str, *, valid: bool) -> str:
    """Write the statement that adds a constraint."""
    return f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(name)} {text}" + ("" if valid else " NOT VALID")


@dataclass(slots=True)
class Draft:
    """What a plan is made from, and its actions so far."""

    projection: Projection
    wanted: Wanted
    changes: Sequence[Change]
    sizes: Mapping[str, Size]
    left: Leftovers
    server_version: int
    is_exact: bool
    can_silence_triggers: bool
    actions: list[Action] = field(default_factory=list[Action])
    used: set[Place] = field(default_factory=set[Place])
    # columns that are replaced by a new one: (table, column) -> the name that the new one has meanwhile
    expanded: dict[Place, str] = field(default_factory=dict[Place, str])

    def of(self, table: str, kind: str, *verbs: str) -> list[Change]:
        """Give the changes of one kind on one table."""
        return [
            c for c in self.changes if (c.table, c.kind) == (table, kind) and (not verbs or c.verb in verbs)
        ]

    def is_empty(self, table: str) -> bool:
        """Whether a table has no rows, or is not there yet."""
        return table not in self.sizes or self.sizes[table].is_empty

    def stand_in(self, table: str) -> dict[str, str]:
        """Give the replaced columns of a table with the names of their replacements."""
        return {column: name for (owner, column), name in self.expanded.items() if owner == table}

    def wanted_table(self, name: str) -> CatalogTable:
        """Give a table as it is to be."""
        return self.wanted.catalog.tables[name]

    def found_table(self, name: str) -> CatalogTable:
        """Give a table as it is, renames done."""
        return self.projection.found.tables[name]

    def add(
        self,
        stage: Stage,
        name: tuple[str, str, str],
        statements: Sequence[str],
        *,
        cost: Cost = "free",
        locks: Mapping[str, str] | None = None,
        group: str = "",
        risk: str = "",
    ) -> None:
        """Add an action in a transaction; `name` is (kind, name, table)."""
        kind, thing, table = name
        taken = {table: EXCLUSIVE} if locks is None else dict(locks)
        self.actions.append(
            Action(stage, kind, thing, table, tuple(statements), cost, taken, group, risk=risk)
        )

    def validate(self, rule: CatalogConstraint, table: str, stage: Stage) -> None:
        """Add the step that proves a NOT VALID constraint; readers and writers go on meanwhile."""
        locks = {table: WEAK}
        if rule.kind == "f" and rule.parent and rule.parent != table:
            locks[rule.parent] = ROW_SHARE
        sql = f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(rule.name)}"
        self.add(stage, ("constraint", rule.name, table), [sql], cost="weak", locks=locks)

    # -- what hangs on columns ---------------------------------------------------------------------

    def around(
        self, places: set[Place], body: Sequence[str], keys: Iterable[Key] = (), *, is_last: bool = False
    ) -> tuple[list[str], dict[str, str]]:
        """Put statements between those that take off what hangs on columns and keys, and put it back.

        References come back NOT VALID, and are validated in a step of their own. What the wanted schema has
        in another form is not put back: its own step makes it, or has made it where this is the last one.
        """
        before: list[str] = []
        after: list[str] = []
        locks: dict[str, str] = {table: EXCLUSIVE for table, _ in places}
        for view in self._bound_views(places):
            if is_last and self._is_replaced("view", view.name):
                continue
            before.append(f"DROP VIEW {quote(view.name)}")
            after[:0] = self._view_again(view)
            locks[view.name] = EXCLUSIVE
        for table, name, definition in self._bound_triggers(places):
            is_replaced = self._is_replaced("trigger", name, table)
            if not (is_last and is_replaced):
                before.append(f"DROP TRIGGER {quote(name)} ON {quote(table)}")
            if not is_replaced:
                after.insert(0, definition)
        for table, rule, again in self.bound_references(places, keys):
            if is_last and again is None:
                continue
            before.append(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(rule.name)}")
            locks = strongest(locks, {table: EXCLUSIVE, rule.parent or table: EXCLUSIVE})
            if again is not None:
                after.insert(0, add_rule(table, again.name, again.text, valid=False))
                self.validate(again, table, Stage.VALIDATE)
        return [*before, *body, *after], locks

    def bound_references(
        self, places: set[Place], keys: Iterable[Key] = ()
    ) -> list[tuple[str, CatalogConstraint, CatalogConstraint | None]]:
        """Give the references that use these columns or keys: (table, as found, as wanted or None)."""
        bound: list[tuple[str, CatalogConstraint, CatalogConstraint | None]] = []
        dropped = {(c.table, c.name) for c in self.changes if (c.kind, c.verb) == ("constraint", "drop")}
        names = {
            (c.table, c.before.name): c.after
            for c in self.changes
            if (c.kind, c.verb) == ("constraint", "rename")
        }
        for table in self.projection.found.tables.values():
            for rule in table.constraints.values():
                if rule.kind != "f" or rule.parent is None or (table.name, rule.name) in dropped:
                    continue
                uses = {(table.name, column) for column in rule.columns}
                uses |= {(rule.parent, column) for column in rule.parent_columns}
                if not uses & places and (rule.parent, frozenset(rule.parent_columns)) not in keys:
                    continue
                rule = names.get((table.name, rule.name), rule)
                wanted = self.wanted.catalog.tables.get(table.name)
                again = wanted.constraints.get(rule.name) if wanted else rule
                bound.append((table.name, rule, again if again and again.text == rule.text else None))
        return bound

    def _bound_views(self, places: set[Place]) -> list[CatalogView]:
        """Give the views that read these columns and the views on those, the last made first."""
        return views_on(self.projection.found.view_texts, places, set())

    def _is_replaced(self, kind: str, name: str, table: str = "") -> bool:
        """Whether a step of its own drops this view or trigger."""
        return any(change.name == name for change in self.of(table, kind, "drop", "alter"))

    def _view_again(self, view: CatalogView) -> list[str]:
        if self._is_replaced("view", view.name):
            return []
        create = f"CREATE VIEW {quote(view.name)} AS {view.query}"
        return [create, *view.grants, *(definition for definition, _ in view.triggers.values())]

    def _bound_triggers(self, places: set[Place]) -> list[tuple[str, str, str]]:
        return [
            (table.name, name, definition)
            for table in self.projection.found.tables.values()
            for name, (definition, _) in table.triggers.items()
            if any(owner == table.name and mentions(definition, column) for owner, column in places)
        ]


def views_on(views: Mapping[str, CatalogView], places: set[Place], names: set[str]) -> list[CatalogView]:
    """Give the views that read these columns or views, and those that read them, the last made first."""
    bound: list[CatalogView] = []
    read = set(names)
    while True:
        more = [
            view
            for view in views.values()
            if view not in bound
            and view.name not in names
            and any(place in places or place[0] in read for place in view.reads)
        ]
        if not more:
            return last_made_first(bound)
        bound += more
        read |= {view.name for view in more}


def last_made_first(views: Iterable[CatalogView]) -> list[CatalogView]:
    """Order views so that each comes before those that it reads."""
    left, ordered = list(views), list[CatalogView]()
    while left:
        read = {table for view in left for table, _ in view.reads}
        last = next((view for view in left if view.name not in read), left[0])
        left.remove(last)
        ordered.append(last)
    return ordered
