"""How the values of a column get another type: the expression, whether rows are rewritten, what is lost.

Pure text: nothing is executed here. The expressions count on TimeZone=UTC, which our connections have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from datalayer.schema.catalog import CatalogColumn

__all__ = ["Conversion", "column_type"]

_WHOLE = {"smallint", "integer", "bigint"}
_NUMBERS = _WHOLE | {"numeric", "real", "double precision"}
_TEXTS = {"text", "character varying", "character", "name", "citext"}
_STEADY = _WHOLE | _TEXTS | {"numeric", "boolean", "json", "jsonb", "uuid"}
_TIMES = {"timestamp without time zone", "timestamp with time zone"}
_UTC_FORM = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_UTC_TEXT = r"'^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]00(:?00)?)$'"
_WIDER = {
    ("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint"), ("smallint", "numeric"),
    ("integer", "numeric"), ("bigint", "numeric"), ("smallint", "double precision"),
    ("integer", "double precision"), ("real", "double precision"),
    ("timestamp without time zone", "timestamp with time zone"), ("date", "timestamp with time zone"),
}  # fmt: skip
# json keeps both values of a key that stands twice, jsonb the last one: then it has fewer nodes
_NODES = """(WITH RECURSIVE walk (node) AS (SELECT {value} UNION ALL SELECT inner_.node FROM walk,
LATERAL (SELECT value FROM {kind}_each(CASE {kind}_typeof(walk.node) WHEN 'object' THEN walk.node END)
UNION ALL SELECT value FROM {kind}_array_elements(CASE {kind}_typeof(walk.node) WHEN 'array' THEN walk.node
END)) inner_ (node)) SELECT count(*) FROM walk)"""


def column_type(column: CatalogColumn) -> str:
    """Write a column's type with its collation."""
    collation = f' COLLATE "{column.collation}"' if column.collation else ""
    return column.type + collation


def _base(type_: str) -> str:
    return re.sub(r"\(.*?\)", "", type_).strip()


def _sizes(type_: str) -> tuple[int, ...]:
    match = re.search(r"\((\d+(?:,-?\d+)?)\)", type_)
    return tuple(int(size) for size in match[1].split(",")) if match else ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """From one column's type to another's; `has_cast` says whether PostgreSQL has a cast for it."""

    before: CatalogColumn
    after: CatalogColumn
    has_cast: bool = True

    @property
    def is_in_place(self) -> bool:
        """Whether ALTER COLUMN TYPE leaves the rows as they are stored, measured on 15 and 18."""
        old, new = _base(self.before.type), _base(self.after.type)
        old_sizes, new_sizes = _sizes(self.before.type), _sizes(self.after.type)
        if self.before.type == self.after.type:
            return True
        if old in ("text", "character varying") and new in ("text", "character varying"):
            return not new_sizes or (bool(old_sizes) and new_sizes[0] >= old_sizes[0])
        if (old, new) == ("numeric", "numeric"):
            is_wider = len(old_sizes) == len(new_sizes) == 2 and new_sizes[0] >= old_sizes[0]
            return not new_sizes or (is_wider and new_sizes[1] == old_sizes[1])
        if (old, new) == ("bit varying", "bit varying"):
            return not new_sizes or (bool(old_sizes) and new_sizes[0] >= old_sizes[0])
        if old in _TIMES and new in _TIMES:
            is_wider = not new_sizes or (bool(old_sizes) and new_sizes[0] >= old_sizes[0])
            return is_wider and not (new.endswith("without time zone") and new != old)
        return (old, new) == ("cidr", "inet")

    @property
    def rebuilds_indexes(self) -> bool:
        """Whether an index on the column is built anew although the rows stay."""
        old, new = _base(self.before.type), _base(self.after.type)
        return self.before.collation != self.after.collation or (old != new and old in _TIMES)

    @property
    def is_steady(self) -> bool:
        """Whether every session converts alike, whatever its time zone, date style and digits of floats."""
        old, new = _base(self.before.type), _base(self.after.type)
        return {old, new} <= _STEADY or {old, new} <= _NUMBERS - {"numeric"}

    @property
    def argument(self) -> str:
        """The old type as functions have it: without sizes."""
        return _base(self.before.type)

    def value(self, sql: str) -> str:
        """Give the expression of the new value for one of the old."""
        old, new, type_ = _base(self.before.type), _base(self.after.type), self.after.type
        if old == "boolean" and new in _NUMBERS:
            return f"{sql}::integer::{type_}"
        if old in _NUMBERS and new == "boolean":
            return f"({sql} <> 0)"
        if old in _TIMES and new in _TEXTS:
            moment = f"{sql} AT TIME ZONE 'UTC'" if old.endswith("with time zone") else sql
            return f"to_char({moment}, '{_UTC_FORM}')::{type_}"
        if old in _TEXTS and new == "bytea":
            return f"convert_to({sql}::text, 'UTF8')"
        if old == "bytea" and new in _TEXTS:
            return f"convert_from({sql}, 'UTF8')::{type_}"
        # a cast of real to numeric keeps 6 digits, one of double precision 15; their texts have all
        is_by_text = not self.has_cast or (old in ("real", "double precision") and new == "numeric")
        return f"{sql}::text::{type_}" if is_by_text else f"{sql}::{type_}"

    def unreadable(self, sql: str) -> str | None:
        """Give the condition of old values that the new type does not take, or None; in PostgreSQL 16."""
        old, new, type_ = _base(self.before.type), _base(self.after.type), self.after.type
        literal = type_.replace("'", "''")
        if old in _TEXTS and new not in _TEXTS | {"bytea"}:
            return f"NOT pg_input_is_valid({sql}::text, '{literal}')"
        if old in _NUMBERS and new in _WHOLE and (old, new) not in _WIDER:
            return f"NOT pg_input_is_valid(round({sql}::numeric)::text, '{literal}')"
        if not self.has_cast and old not in ("bytea", "boolean") and new != "boolean":
            return f"NOT pg_input_is_valid({sql}::text, '{literal}')"
        return None

    def loses(self, sql: str) -> str | None:
        """Give the condition of old values that the new one does not tell any more; None where it does."""
        old, new = _base(self.before.type), _base(self.after.type)
        value = self.value(sql)
        if self.is_in_place or (old, new) in _WIDER:
            return None
        if new == "jsonb" and (old == "json" or old in _TEXTS):
            before = _NODES.format(value=f"{sql}::text::json", kind="json")
            return f"{before} <> {_NODES.format(value=value, kind='jsonb')}"
        if old in _TEXTS:
            if new == "timestamp with time zone":
                return f"{sql}::text !~ {_UTC_TEXT}"
            if new == "boolean":
                return f"{sql}::text NOT IN ({value}::text, {value}::integer::text)"
            if new == "bytea":
                return None
            return f"{sql}::text IS DISTINCT FROM {value}::text"
        if old == "boolean" or (new in _TEXTS and old not in _TIMES and old != "bytea"):
            return None if not _sizes(self.after.type) else f"{sql}::text <> {value}::text"
        back = Conversion(self.after, self.before, self.has_cast).value(f"({value})")
        if old in _NUMBERS:
            return f"{back} IS DISTINCT FROM {sql}"
        return f"{back}::text IS DISTINCT FROM {sql}::text"
