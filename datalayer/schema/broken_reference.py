"""Which foreign key a refused statement broke: SQLite says only that one does not hold.

Every key that the statement can break is a candidate; a single one is the answer. Among several each is asked
of the database, by a query made of the statement's own text and values: a refused statement has changed
nothing, so the answer is as it was. What cannot be told for sure is None.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from datalayer.schema.declaration import ForeignKey
from datalayer.schema.effects import Effect, all_effects, own_effects
from datalayer.schema.reference_query import Reference, child_query, parent_query
from datalayer.schema.rules import Rules, TableRules
from datalayer.schema.tokens import fold, plain, tokenize
from datalayer.schema.writes import Write

__all__ = ["find_broken_reference"]

_log = logging.getLogger("datalayer.schema")
# what these answer has changed since the statement ran
_VOLATILE = frozenset({"changes", "last_insert_rowid", "random", "randomblob", "total_changes"})
_KEPT = ("NO ACTION", "RESTRICT")


class Verdict(Enum):
    """What is known of a candidate."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Part:
    """One way in which a statement can break a key: a child that finds no parent, a parent that is needed."""

    is_child: bool
    effect: Effect


def find_broken_reference(
    rules: Rules, write: Write, params: Sequence[Any], *, is_in_block: bool
) -> tuple[TableRules, ForeignKey] | None:
    """Give the key that does not hold with its table, or None where that is not certain.

    Inside a transaction a deferred key is looked at only by COMMIT, so it is no candidate. Cost: a query for
    each of several candidates, none for a single one.
    """
    effects = all_effects(rules, write)
    is_deferring = is_in_block and bool(rules.rows("PRAGMA defer_foreign_keys")[0][0])
    candidates: list[tuple[TableRules, ForeignKey, list[_Part]]] = []
    for table, key in rules.references:
        is_waiting = is_in_block and (key.is_deferred or is_deferring)
        parts = [part for effect in effects for part in _parts(rules, table, key, effect, is_waiting)]
        if parts:
            candidates.append((table, key, parts))
    if len(candidates) == 1:
        return candidates[0][:2]
    judge = _Judge(rules, write, params, effects)
    broken: list[tuple[TableRules, ForeignKey]] = []
    standing: list[tuple[TableRules, ForeignKey]] = []
    for table, key, parts in candidates:
        verdict = judge.judge(table, key, parts)
        if verdict is Verdict.BROKEN:
            broken.append((table, key))
        if verdict is not Verdict.HOLDS:
            standing.append((table, key))
    return standing[0] if len(standing) == 1 else broken[0] if broken else None


def _parts(rules: Rules, table: TableRules, key: ForeignKey, effect: Effect, is_waiting: bool) -> list[_Part]:
    parts: list[_Part] = []
    columns = frozenset(map(fold, key.columns))
    # NULL refers to nothing, and a cascade to the parent that it came from
    is_kept = effect.is_null or (effect.action == key and key.on_update == "CASCADE")
    is_written = effect.verb == "INSERT" or (effect.verb == "UPDATE" and bool(effect.columns & columns))
    if effect.table == fold(table.name) and is_written and not is_kept and not is_waiting:
        parts.append(_Part(True, effect))
    if effect.table == fold(key.parent) and effect.verb != "INSERT":
        action = key.on_delete if effect.verb == "DELETE" else key.on_update
        is_moved = effect.verb == "DELETE" or bool(effect.columns & frozenset(rules.parent_columns(key)))
        if is_moved and action in _KEPT and not (is_waiting and action != "RESTRICT"):
            parts.append(_Part(False, effect))
    return parts


class _Judge:
    """Asks the database about candidates of one statement."""

    def __init__(self, rules: Rules, write: Write, params: Sequence[Any], effects: list[Effect]) -> None:
        self._rules = rules
        self._write = write
        self._params = params
        own = own_effects(rules, write)
        self._main = own[0]
        self._indirect = [effect for effect in effects if effect not in own]
        # rows may be left out or updated instead, so that one which would break a key was never written
        self._is_partial = bool(write.upserts) or write.may_skip or self._may_skip()
        self._can_ask = self._is_repeatable()

    def _may_skip(self) -> bool:
        table = self._rules.tables.get(fold(self._write.table))
        if table is None or self._write.conflict in ("IGNORE", "REPLACE"):
            return True
        keys = (table.text.primary_key, *table.text.uniques)
        conflicts = [key.conflict for key in keys if key] + [column.conflict for column in table.text.columns]
        return any(conflicts) or any(
            name == fold(table.name) and _leaves_out(sql) for name, _, sql in self._rules.triggers
        )

    def _is_repeatable(self) -> bool:
        """Say whether the statement's text gives the same rows when it is asked again."""
        write = self._write
        if not write.has_plain_parameters or write.parameter_count != len(self._params):
            return False
        if not write.has_own_rows or write.calls & _VOLATILE:
            return False
        calls = list(write.calls)
        marks = ", ".join("?" * len(calls))
        # a function of the app's own may do anything when it is called once more
        foreign = self._rules.rows(
            f"SELECT 1 FROM pragma_function_list WHERE NOT builtin AND name IN ({marks}) LIMIT 1", calls
        )
        return not foreign

    def judge(self, table: TableRules, key: ForeignKey, parts: list[_Part]) -> Verdict:
        """Say whether a key is broken: it is where one part is, and holds where all do."""
        parent = self._rules.tables.get(fold(key.parent))
        columns = self._rules.parent_columns(key)
        if parent is None or len(columns) != len(key.columns) or not self._can_ask:
            return Verdict.UNKNOWN
        reference = Reference(table, key, parent, columns)
        if self._is_disturbed(reference) or not _compare_alike(reference):
            return Verdict.UNKNOWN
        verdicts = {self._judge_part(reference, part) for part in parts}
        if Verdict.BROKEN in verdicts:
            # rows of one statement may refer to each other
            is_certain = not self._is_partial and not reference.is_own
            return Verdict.BROKEN if is_certain else Verdict.UNKNOWN
        is_mixed = reference.is_own and len(parts) > 1
        return Verdict.UNKNOWN if is_mixed or Verdict.UNKNOWN in verdicts else Verdict.HOLDS

    def _is_disturbed(self, reference: Reference) -> bool:
        """Say whether triggers or actions may mend or break the reference as well."""
        child, parent = fold(reference.table.name), fold(reference.parent.name)
        return any(
            effect.touches(child, frozenset(reference.columns))
            or effect.touches(parent, frozenset(reference.parent_columns))
            for effect in self._indirect
        )

    def _judge_part(self, reference: Reference, part: _Part) -> Verdict:
        if part.effect != self._main:
            is_same = part.is_child and self._main.verb == "INSERT" and self._is_upsert_of(reference)
            # what DO UPDATE sets is then what the INSERT would have brought
            return Verdict.HOLDS if is_same else Verdict.UNKNOWN
        make = child_query if part.is_child else parent_query
        query = make(reference, self._write, self._params, self._rules.schema)
        if query is None:
            return Verdict.UNKNOWN
        try:
            is_broken = bool(self._rules.rows(query.sql, query.values))
        except (sqlite3.Error, ValueError, OverflowError) as exc:
            _log.debug("cannot ask about a reference of %s: %s", reference.table.name, exc)
            return Verdict.UNKNOWN
        if not is_broken and part.is_child and reference.table.row_number in reference.columns:
            # NULL there means the next number
            return Verdict.UNKNOWN
        return Verdict.BROKEN if is_broken else Verdict.HOLDS

    def _is_upsert_of(self, reference: Reference) -> bool:
        """Say whether DO UPDATE gives the child's columns what the INSERT would have brought, or nothing."""
        return all(
            piece is not None and plain(tokenize(piece.text)) == ("excluded", ".", column)
            for sets in self._write.upserts
            for column, piece in sets.items()
            if column in reference.columns
        )


def _leaves_out(trigger: str) -> bool:
    """Say whether a trigger can leave out the row that it was called for."""
    words = plain(tokenize(trigger))
    return ("raise", "(", "ignore") in zip(words, words[1:], words[2:])


def _affinity(type_: str) -> str:
    """Give what SQLite makes of a declared type: https://sqlite.org/datatype3.html, section 3.1."""
    upper = type_.upper()
    if "INT" in upper:
        return "INTEGER"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not upper or "BLOB" in upper:
        return "BLOB"
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "ANY" if upper == "ANY" else "NUMERIC"


def _compare_alike(reference: Reference) -> bool:
    """Say whether a value means the same in the child's columns and the parent's."""
    for name, key in zip(reference.columns, reference.parent_columns):
        mine, theirs = reference.table.columns.get(name), reference.parent.columns.get(key)
        # a hidden column is generated: its value is in no statement
        if mine is None or theirs is None or mine.hidden or theirs.hidden:
            return False
        if _affinity(mine.type) != _affinity(theirs.type):
            return False
    return True
