"""What a statement may change: its own rows, and what triggers and references change because of it.

An upper bound: everything that can happen is here, not all of it must. https://sqlite.org/foreignkeys.html
(section 4.3) and https://sqlite.org/lang_createtrigger.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from datalayer.schema.declaration import ForeignKey
from datalayer.schema.rules import Rules
from datalayer.schema.tokens import fold
from datalayer.schema.writes import Write, read_write

__all__ = ["Effect", "all_effects", "own_effects"]


@lru_cache(maxsize=512)
def _trigger_write(sql: str) -> Write | None:
    return read_write(sql)


@dataclass(frozen=True, slots=True)
class Effect:
    """Rows of a table are inserted, updated or deleted.

    `table` and `columns`, those that an UPDATE sets, are folded. `action` is the reference whose action this
    is, `is_null` that it sets NULL.
    """

    table: str
    verb: str
    columns: frozenset[str] = frozenset()
    action: ForeignKey | None = None
    is_null: bool = False

    def touches(self, table: str, columns: frozenset[str]) -> bool:
        """Say whether this changes which values of these columns are in the table."""
        return self.table == table and (self.verb != "UPDATE" or bool(self.columns & columns))


def own_effects(rules: Rules, write: Write) -> list[Effect]:
    """Give what the statement says that it does."""
    name = fold(write.table)
    table = rules.tables.get(name)

    def update(columns: list[str]) -> Effect:
        return Effect(name, "UPDATE", frozenset(table.resolve(columns) if table else columns))

    effects = [update(list(write.sets)) if write.verb == "UPDATE" else Effect(name, write.verb)]
    effects += [update(list(sets)) for sets in write.upserts]
    words = {write.conflict}
    if table is not None:
        keys = (table.text.primary_key, *table.text.uniques)
        words |= {key.conflict for key in keys if key is not None and key.conflict}
    if "REPLACE" in words and write.verb != "DELETE":
        effects.append(Effect(name, "DELETE"))
    return effects


def all_effects(rules: Rules, write: Write) -> list[Effect]:
    """Give everything that may come of a statement, its own effects first."""
    found = dict.fromkeys(own_effects(rules, write))
    waiting = list(found)
    while waiting:
        for effect in _consequences(rules, waiting.pop()):
            if effect not in found:
                found[effect] = None
                waiting.append(effect)
    return list(found)


def _consequences(rules: Rules, effect: Effect) -> Iterator[Effect]:
    for table, trigger, _ in rules.triggers:
        columns = frozenset(map(fold, trigger.of_columns))
        if table != effect.table or trigger.event != effect.verb:
            continue
        if columns and effect.verb == "UPDATE" and not columns & effect.columns:
            continue
        for statement in trigger.statements:
            write = _trigger_write(statement)
            if write is not None:
                yield from own_effects(rules, write)
    if effect.verb == "INSERT":
        return
    for child, key in rules.references:
        if fold(key.parent) != effect.table:
            continue
        if effect.verb == "UPDATE" and not effect.columns & frozenset(rules.parent_columns(key)):
            continue
        action = key.on_delete if effect.verb == "DELETE" else key.on_update
        if action == "CASCADE" and effect.verb == "DELETE":
            yield Effect(fold(child.name), "DELETE")
        elif action in ("CASCADE", "SET NULL", "SET DEFAULT"):
            columns = frozenset(map(fold, key.columns))
            yield Effect(fold(child.name), "UPDATE", columns, key, action == "SET NULL")
