"""SQLite's functions in PostgreSQL's words, for the portable subset, with the kind of value each gives.

Only what gives the same answer on both engines stands here; the rest is refused by name.
https://sqlite.org/lang_corefunc.html and https://www.postgresql.org/docs/current/functions.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datalayer.schema.postgres_types import Kind, Unsupported
from datalayer.schema.tokens import quote_text

__all__ = ["Value", "adapt", "as_condition", "beside", "call", "common_kind", "ordered", "together"]

_NUMERIC = ("int", "real", "number")


@dataclass(frozen=True, slots=True)
class Value:
    """A translated expression: its SQL, the kind of value, and for a literal what it stands for.

    `ignores_case` says that COLLATE NOCASE stands at it, so what it is compared with is folded too.
    """

    sql: str
    kind: Kind
    literal: str | None = None
    ignores_case: bool = False


def as_condition(value: Value) -> str:
    """Write a value where PostgreSQL wants a boolean; SQLite takes any number, and 0 is false."""
    if value.kind in ("bool", "null", "any"):
        return value.sql
    if value.kind in _NUMERIC:
        return {"0": "FALSE", "1": "TRUE"}.get(value.literal or "", f"({value.sql} <> 0)")
    raise Unsupported(f"a {value.kind} value as a condition", "compare it with something")


def ordered(value: Value) -> str:
    """Write a value whose order matters: text by its bytes, also where no column says so."""
    return f'({value.sql} COLLATE "C")' if value.kind == "text" else value.sql


def adapt(value: Value, kind: Kind) -> str:
    """Write a value where one of `kind` is stored or compared.

    Raises Unsupported where the two do not meet.
    """
    if value.kind in (kind, "null", "any") or kind == "any":
        return value.sql
    if kind == "bool" and value.kind == "int":
        return {"0": "FALSE", "1": "TRUE"}.get(value.literal or "", f"({value.sql} <> 0)")
    if kind in _NUMERIC and value.kind == "bool":
        return f"({value.sql})::int"
    if kind in ("real", "number") and value.kind in _NUMERIC:
        return value.sql
    if kind == "text" and value.kind == "time":
        return f"""to_char({value.sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    if kind == "text" and value.kind == "int":
        return quote_text(value.literal) if value.literal is not None else f"({value.sql})::text"
    if kind == "time" and value.kind == "text":
        return value.sql if value.literal is not None else f"({value.sql})::timestamptz"
    if kind == "json" and value.kind == "text":
        return _json(value)
    raise Unsupported(
        f"a {value.kind} value where a {kind} value stands", "use values of the column's own type"
    )


def together(left: Value, right: Value) -> tuple[str, str, Kind]:
    """Bring two values that are compared or mixed to one kind."""
    if left.ignores_case != right.ignores_case:
        left, right = _folded(left), _folded(right)
    if left.kind == right.kind or "any" in (left.kind, right.kind) or "null" in (left.kind, right.kind):
        return left.sql, right.sql, right.kind if left.kind in ("null", "any") else left.kind
    if left.kind in _NUMERIC and right.kind in _NUMERIC:
        return left.sql, right.sql, "real" if "real" in (left.kind, right.kind) else "number"
    # a literal takes the kind of the other side, a condition becomes a number beside one
    special: tuple[Kind, ...] = ("time", "json")
    for kind in special:
        if (
            kind in (left.kind, right.kind)
            and (left.literal if right.kind == kind else right.literal) is not None
        ):
            return adapt(left, kind), adapt(right, kind), kind
    pair = {left.kind, right.kind}
    if pair == {"bool", "int"}:
        number = left if left.kind == "int" else right
        kind = "bool" if number.literal in ("0", "1") else "int"
        return adapt(left, kind), adapt(right, kind), kind
    if pair == {"text", "time"}:
        return adapt(left, "text"), adapt(right, "text"), "text"
    raise Unsupported(f"a {left.kind} value beside a {right.kind} value", "use values of one type")


def beside(left: Value, others: Sequence[Value]) -> tuple[str, list[str], Kind]:
    """Bring a value and several that it is compared with to one kind."""
    pairs = [together(left, other) for other in others]
    kind = common_kind((left, *others))
    if "bool" in {value.kind for value in (left, *others)} and kind in ("bool", *_NUMERIC):
        return adapt(left, kind), [adapt(other, kind) for other in others], kind
    return pairs[0][0], [second for _, second, _ in pairs], pairs[0][2]


def _folded(value: Value) -> Value:
    if value.ignores_case:
        return value
    return Value(f"""lower({adapt(value, "text")} COLLATE "C")""", "text")


def common_kind(values: Sequence[Value]) -> Kind:
    """Give the kind that values stand together as: literals follow the others, 0 and 1 follow booleans."""
    known = [value for value in values if value.kind != "null"]
    kinds = {value.kind for value in known}
    if "bool" in kinds and all(value.literal in ("0", "1") for value in known if value.kind != "bool"):
        return "bool"
    if kinds and kinds <= {"bool", *_NUMERIC}:
        return "real" if "real" in kinds else "number" if "number" in kinds else "int"
    for value in known:
        if value.literal is None:
            return value.kind
    return known[0].kind if known else "null"


def call(name: str, values: Sequence[Value]) -> Value:
    """Translate a function call; `name` is in lower case.

    Raises Unsupported for what is not in the subset.
    """
    texts = [value.sql for value in values]
    if (name, len(values)) in _SIMPLE:
        wanted, template, kind = _SIMPLE[name, len(values)]
        for value in values:
            if wanted and value.kind not in (*wanted, "any", "null"):
                raise Unsupported(
                    f"{name}() of a {value.kind} value", "use it on a column of a type it is made for"
                )
        return Value(template.format(*texts), kind or values[0].kind)
    if name in _SPECIAL:
        value = _SPECIAL[name](values)
        # an untyped NULL, which PostgreSQL would else take for text
        return Value("NULL", "null") if value.kind == "null" else value
    raise Unsupported(f"the function {name}() with {len(values)} arguments", "write the rule without it")


_TEXTS: tuple[Kind, ...] = ("text",)
_NUMBERS: tuple[Kind, ...] = _NUMERIC
_ANYTHING: tuple[Kind, ...] = ()
_SIMPLE: Mapping[tuple[str, int], tuple[tuple[Kind, ...], str, Kind | None]] = {
    ("length", 1): (("text", "blob"), "length({0})", "int"),
    ("octet_length", 1): (("text", "blob"), "octet_length({0})", "int"),
    ("lower", 1): (_TEXTS, 'lower({0} COLLATE "C")', "text"),
    ("upper", 1): (_TEXTS, 'upper({0} COLLATE "C")', "text"),
    ("trim", 1): (_TEXTS, "btrim({0})", "text"),
    ("ltrim", 1): (_TEXTS, "ltrim({0})", "text"),
    ("rtrim", 1): (_TEXTS, "rtrim({0})", "text"),
    ("trim", 2): (_TEXTS, "btrim({0}, {1})", "text"),
    ("ltrim", 2): (_TEXTS, "ltrim({0}, {1})", "text"),
    ("rtrim", 2): (_TEXTS, "rtrim({0}, {1})", "text"),
    ("replace", 3): (_TEXTS, "replace({0}, {1}, {2})", "text"),
    ("instr", 2): (_TEXTS, "strpos({0}, {1})", "int"),
    ("unicode", 1): (_TEXTS, "NULLIF(ascii({0}), 0)", "int"),
    ("abs", 1): (_NUMBERS, "abs({0})", None),
    ("sign", 1): (_NUMBERS, "sign({0})::int", "int"),
    ("hex", 1): (("blob",), "COALESCE(upper(encode({0}, 'hex')), '')", "text"),
    ("unixepoch", 0): (_ANYTHING, "extract(epoch FROM clock_timestamp())::bigint", "int"),
    ("count", 1): (_ANYTHING, "count({0})", "int"),
    ("count", 0): (_ANYTHING, "count(*)", "int"),
    ("avg", 1): (_NUMBERS, "avg({0})::double precision", "real"),
    ("total", 1): (_NUMBERS, "COALESCE(sum({0}), 0)::double precision", "real"),
    ("json_array_length", 1): (
        ("json",),
        "CASE WHEN {0} IS NULL THEN NULL"
        " WHEN jsonb_typeof({0}) = 'array' THEN jsonb_array_length({0}) ELSE 0 END",
        "int",
    ),
    ("json_type", 1): (
        ("json",),
        "CASE jsonb_typeof({0}) WHEN 'string' THEN 'text' WHEN 'boolean' THEN {0}::text"
        " WHEN 'number' THEN CASE WHEN {0}::text ~ '[.eE]' THEN 'real' ELSE 'integer' END"
        " ELSE jsonb_typeof({0}) END",
        "text",
    ),
}


def _json(value: Value) -> str:
    if value.literal is None:
        return f"({value.sql})::jsonb"
    try:
        json.loads(value.literal)
    except ValueError:
        raise Unsupported(f"{value.sql} where JSON stands", "write valid JSON") from None
    return value.sql


def _coalesce(values: Sequence[Value]) -> Value:
    kind = common_kind(values)
    return Value(f"COALESCE({', '.join(adapt(value, kind) for value in values)})", kind)


def _nullif(values: Sequence[Value]) -> Value:
    left, right, kind = together(values[0], values[1])
    return Value(f"NULLIF({left}, {right})", kind)


def _extreme(word: str, many: str) -> Callable[[Sequence[Value]], Value]:
    """max() and min(): of one argument an aggregate, of more the extreme one, NULL when any is NULL."""

    def translate(values: Sequence[Value]) -> Value:
        if len(values) == 1:
            return Value(f"{word}({ordered(values[0])})", values[0].kind)
        kind = common_kind(values)
        texts = [adapt(value, kind) for value in values]
        nulls = " OR ".join(f"{text} IS NULL" for text in texts)
        first = ordered(Value(texts[0], kind))
        return Value(f"CASE WHEN {nulls} THEN NULL ELSE {many}({', '.join((first, *texts[1:]))}) END", kind)

    return translate


def _sum(values: Sequence[Value]) -> Value:
    kind: Kind = "int" if values[0].kind in ("int", "bool") else values[0].kind
    return Value(f"sum({adapt(values[0], kind)})" + ("::bigint" if kind == "int" else ""), kind)


def _group_concat(values: Sequence[Value]) -> Value:
    separator = values[1].sql if len(values) > 1 else "','"
    return Value(f"string_agg({adapt(values[0], 'text')}, {separator})", "text")


def _round(values: Sequence[Value]) -> Value:
    if len(values) != 1:
        raise Unsupported("round() with a number of digits", "round where the value is made")
    # PostgreSQL rounds halves of double precision to even, of numeric away from zero as SQLite does
    return Value(f"round(({values[0].sql})::numeric)::double precision", "real")


def _substr(values: Sequence[Value]) -> Value:
    if any(value.literal is None or int(value.literal) < 1 for value in values[1:]) or len(values) < 2:
        raise Unsupported(
            "substr() with computed or negative positions", "use positions from 1 on, as literals"
        )
    return Value(f"substr({', '.join(value.sql for value in values)})", values[0].kind)


def _typeof(values: Sequence[Value]) -> Value:
    names = {
        "int": "integer",
        "bool": "integer",
        "text": "text",
        "time": "text",
        "json": "text",
        "real": "real",
    }
    kind = values[0].kind
    if kind not in names and kind != "blob":
        raise Unsupported(
            f"typeof() of a {kind} value", "declare the column's type; then the check is not needed"
        )
    return Value(
        f"CASE WHEN {values[0].sql} IS NULL THEN 'null' ELSE '{names.get(kind, 'blob')}' END", "text"
    )


def _json_valid(values: Sequence[Value]) -> Value:
    if len(values) != 1 or values[0].kind not in ("text", "json"):
        raise Unsupported("json_valid() of this", "use it on a text column, with one argument")
    sql = values[0].sql
    return Value(
        f"NULLIF({sql} IS NOT NULL, FALSE)" if values[0].kind == "json" else f"({sql} IS JSON)", "bool"
    )


def _randomblob(values: Sequence[Value]) -> Value:
    if [value.literal for value in values] != ["16"]:
        raise Unsupported("randomblob() of another size than 16", "use randomblob(16)")
    return Value("uuid_send(gen_random_uuid())", "blob")


_STRFTIME = {"Y": "YYYY", "m": "MM", "d": "DD", "H": "HH24", "M": "MI", "S": "SS", "f": "SS.MS", "j": "DDD"}


def _strftime(values: Sequence[Value]) -> Value:
    layout = values[0].literal if values else None
    if layout is None or [value.literal for value in values[1:]] != ["now"]:
        raise Unsupported("strftime() of other times than 'now'", "use strftime('...', 'now')")
    if layout == "%s":
        return Value("extract(epoch FROM clock_timestamp())::bigint::text", "text")
    parts: list[str] = []
    place = 0
    while place < len(layout):
        if layout[place] == "%":
            letter = layout[place + 1 : place + 2]
            if letter not in _STRFTIME:
                raise Unsupported(f"%{letter} in strftime()", "use Y m d H M S f j")
            parts.append(_STRFTIME[letter])
            place += 2
        else:
            parts.append('"' + layout[place].replace("\\", "\\\\").replace('"', '\\"') + '"')
            place += 1
    return _now_text("".join(parts))


def _now_text(layout: str) -> Value:
    return Value(f"to_char(clock_timestamp() AT TIME ZONE 'UTC', {quote_text(layout)})", "text")


def _now(layout: str) -> Callable[[Sequence[Value]], Value]:
    def translate(values: Sequence[Value]) -> Value:
        if [value.literal for value in values] not in ([], ["now"]):
            raise Unsupported("a date function of other times than 'now'", "use 'now' alone")
        return _now_text(layout)

    return translate


_SPECIAL: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "coalesce": _coalesce,
    "ifnull": _coalesce,
    "nullif": _nullif,
    "max": _extreme("max", "GREATEST"),
    "min": _extreme("min", "LEAST"),
    "sum": _sum,
    "group_concat": _group_concat,
    "string_agg": _group_concat,
    "round": _round,
    "substr": _substr,
    "substring": _substr,
    "typeof": _typeof,
    "json_valid": _json_valid,
    "randomblob": _randomblob,
    "strftime": _strftime,
    "datetime": _now("YYYY-MM-DD HH24:MI:SS"),
    "date": _now("YYYY-MM-DD"),
    "time": _now("HH24:MI:SS"),
}
