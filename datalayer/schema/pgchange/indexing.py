"""Indexes and keys of tables with rows: built beside the traffic under another name, then put in place."""

from __future__ import annotations

from dataclasses import replace

from datalayer.schema.catalog import CatalogIndex
from datalayer.schema.pgchange.action import EXCLUSIVE, WEAK, Action, Stage
from datalayer.schema.pgchange.change import Change
from datalayer.schema.pgchange.draft import Draft, Key, strongest
from datalayer.schema.pgchange.names import mentions, rename_in, temporary
from datalayer.schema.tokens import quote

__all__ = ["key_drops", "plan_indexes", "put_in_place", "to_build"]


def plan_indexes(draft: Draft, table: str) -> None:
    """Plan the indexes of one table; what reads a replaced column is put in place with that column."""
    stand_in = draft.stand_in(table)
    placed: list[str] = []
    built = to_build(draft, table)
    for index in built:
        _build(draft, index, stand_in)
        if not stand_in:
            placed += put_in_place(draft, index, stand_in)
    if stand_in:
        return
    drops, keys = key_drops(draft, table)
    if drops or placed:
        whole, locks = draft.around(set(), [*drops, *placed], keys)
        # giving an index another name locks nothing but the index
        is_naming = all(statement.startswith("ALTER INDEX") for statement in whole)
        locks = strongest(locks, {} if is_naming else {table: EXCLUSIVE})
        names = [index.name for index in built] or [change.name for change in _gone_keys(draft, table)]
        draft.add(Stage.KEYS, ("index", ", ".join(names), table), whole, locks=locks, group=f"keys {table}")


def key_drops(draft: Draft, table: str) -> tuple[list[str], list[Key]]:
    """Give what drops the keys that are not wanted any more, and these keys."""
    gone = _gone_keys(draft, table)
    statements = [f"ALTER TABLE {quote(table)} DROP CONSTRAINT IF EXISTS {quote(c.name)}" for c in gone]
    return statements, [(table, frozenset(change.before.columns)) for change in gone]


def _gone_keys(draft: Draft, table: str) -> list[Change]:
    return [change for change in draft.of(table, "constraint", "drop", "alter") if change.before.kind in "pu"]


def to_build(draft: Draft, table: str) -> list[CatalogIndex]:
    """Give the indexes that must be built, those of keys included."""
    stand_in = draft.stand_in(table)
    new = {
        change.after.name
        for kind in ("index", "constraint")
        for change in draft.of(table, kind, "add", "alter")
        if kind == "index" or change.after.kind in "pu"
    }
    wanted = draft.wanted_table(table).indexes
    # an index of another program, or of a kind that no file can say, is made again with a replaced column
    theirs = [
        index
        for name, index in draft.found_table(table).indexes.items()
        if name not in wanted and index.constraint is None and not (draft.is_exact and index.is_of_a_file)
    ]
    moved = [
        index for index in (*wanted.values(), *theirs) if any(mentions(index.tail, name) for name in stand_in)
    ]
    return moved + [
        index for index in wanted.values() if (index.constraint or index.name) in new and index not in moved
    ]


def _temporary(index: CatalogIndex, stand_in: dict[str, str]) -> tuple[str, CatalogIndex]:
    tail = rename_in(index.tail, stand_in)
    unique = "unique" if index.is_unique else ""
    return temporary("index", index.table, index.name, tail, unique), replace(index, tail=tail)


def _build(draft: Draft, index: CatalogIndex, stand_in: dict[str, str]) -> None:
    name, made = _temporary(index, stand_in)
    left = draft.left.indexes.get((index.table, name))
    draft.used.add((index.table, name))
    if left is not None and left.is_valid:
        return
    statements = [made.statement(name, concurrently=True)]
    if left is not None:
        statements.insert(0, f"DROP INDEX CONCURRENTLY {quote(name)}")
    risk = "waits for transactions that are older; where it fails, nothing of it is left"
    draft.actions.append(
        Action(
            Stage.INDEXES, "index", index.name, index.table, tuple(statements), "weak", {index.table: WEAK},
            "", False, None, risk, name,
        )
    )  # fmt: skip


def put_in_place(draft: Draft, index: CatalogIndex, stand_in: dict[str, str]) -> list[str]:
    """Give what makes a built index the wanted one: its key, or its name."""
    name, _ = _temporary(index, stand_in)
    table = draft.wanted_table(index.table)
    if index.constraint is not None:
        rule = table.constraints[index.constraint]
        kind = "PRIMARY KEY" if rule.kind == "p" else "UNIQUE"
        before = draft.found_table(table.name).indexes.get(index.name)
        # an index of its own had the name that the key's is to have
        has_name = before is not None and before.constraint is None
        drop = [f"DROP INDEX IF EXISTS {quote(index.name)}"] if has_name else []
        add = f"ALTER TABLE {quote(table.name)} ADD CONSTRAINT {quote(rule.name)}"
        return [*drop, f"{add} {kind} USING INDEX {quote(name)}"]
    old = draft.found_table(table.name).indexes.get(index.name)
    drop = [f"DROP INDEX IF EXISTS {quote(index.name)}"] if old is not None else []
    return [*drop, f"ALTER INDEX {quote(name)} RENAME TO {quote(index.name)}"]
