"""Values that a column may take: from its declared type, and from what the rules that name it spell out.

Knows no database. A rule is read only as far as its literals go: every literal is a candidate for every
column that the rule names, and whether it fits is found by trying.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from random import Random
from typing import Final

from datalayer.schema.rehearse.patterns import glob_text, like_text, regex_text
from datalayer.schema.tokens import Token, significant, tokenize, unquote

__all__ = ["OMIT", "Column", "Omit", "Rule", "Value", "values_of"]


class Omit:
    """Stands for a column that the INSERT leaves out, so that its default holds."""


OMIT: Final = Omit()
Value = None | int | float | str | bytes | Omit

_KINDS = (
    ("ranges", r"multirange"),
    ("range", r"range"),
    ("boolean", r"\bbool"),
    ("timestamp", r"datetime|timestamp"),
    ("date", r"\bdate"),
    ("time", r"\btime"),
    ("interval", r"interval"),
    ("uuid", r"uuid|uniqueidentifier"),
    ("json", r"jsonb?\b(?!path)"),
    ("inet", r"inet|cidr"),
    ("mac", r"macaddr"),
    ("bits", r"\bbit\b|varbit|bit varying"),
    ("point", r"point"),
    ("shape", r"^(?:box|circle|line|lseg|path|polygon)\b"),
    ("path in json", r"jsonpath"),
    ("class", r"^regclass"),
    ("integer", r"int|serial|\boid\b"),
    ("text", r"char|clob|text|name|citext|xml|tsvector|enum"),
    ("blob", r"blob|bytea|binary"),
    ("real", r"real|floa|doub|numeric|decimal|money|number"),
)


_SHAPES = {
    "box": "(0,0),(1,1)",
    "circle": "<(0,0),1>",
    "line": "{1,2,3}",
    "lseg": "[(0,0),(1,1)]",
    "path": "((0,0),(1,1))",
    "polygon": "((0,0),(1,1),(1,0))",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the filler needs it.

    `length` bounds a text, `choices` are the labels of an enum. `is_numbered` says that it numbers itself,
    `is_key` that it must be unique by itself.
    """

    name: str
    type: str
    is_not_null: bool = False
    has_default: bool = False
    choices: tuple[str, ...] = ()
    is_numbered: bool = False
    is_key: bool = False
    is_strict: bool = False

    @property
    def kind(self) -> str:
        """The class of its type, in one word."""
        return "array" if self.type.endswith("[]") else _kind_of(self.type, is_strict=self.is_strict)

    @property
    def length(self) -> int | None:
        """The greatest number of characters that its type allows."""
        found = re.search(r"(?:char\w*|bit)(?: varying)?\s*\((\d+)\)", self.type, re.IGNORECASE)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Rule:
    """A CHECK, a trigger's text or another condition, with the columns that it names."""

    name: str
    text: str
    columns: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = field(default=(), repr=False)

    @cached_property
    def _tokens(self) -> tuple[Token, ...]:
        return self.tokens or significant(tokenize(self.text))

    @cached_property
    def literals(self) -> tuple[Token, ...]:
        """The string and number literals in it."""
        # the text of a RAISE is for people
        return tuple(
            token
            for place, token in enumerate(self._tokens)
            if token.kind in ("string", "number", "blob")
            and not any(one.upper == "RAISE" for one in self._tokens[max(0, place - 4) : place])
        )

    @cached_property
    def words(self) -> frozenset[str]:
        """The bare words in it, in lower case."""
        return frozenset(token.text.lower() for token in self._tokens if token.kind == "word")

    @cached_property
    def patterns(self) -> tuple[tuple[str, str], ...]:
        """Each pattern that a text is held against, with the operator."""
        return tuple(self._patterns())

    def _patterns(self) -> Iterator[tuple[str, str]]:
        for place, token in enumerate(self._tokens):
            if token.kind != "string" or place == 0:
                continue
            before = [one.text.upper() for one in self._tokens[max(0, place - 4) : place]]
            operator = next(
                (
                    word
                    for word in reversed(before)
                    if word in ("GLOB", "LIKE", "ILIKE", "REGEXP", "~", "SIMILAR")
                ),
                "",
            )
            if "~" in before and operator in ("LIKE", "ILIKE"):
                operator = "~"
            if operator:
                yield operator, unquote(token)


@lru_cache(maxsize=1024)
def _kind_of(declared: str, *, is_strict: bool = False) -> str:
    """Give the class of a declared type: its words first, SQLite's affinity for what is left."""
    lowered = declared.lower()
    if not lowered:
        return "any"
    if is_strict:
        return {"int": "integer", "any": "any"}.get(lowered, lowered)
    for kind, pattern in _KINDS:
        if re.search(pattern, lowered):
            return kind
    return "text"


def values_of(column: Column, rules: Sequence[Rule], number: int, random: Random) -> list[Value]:
    """Give candidates, the likeliest first: choices that the rules spell out, then what the type suggests.

    `number` makes free texts and numbers differ from row to row.
    """
    own = [rule for rule in rules if column.name in rule.columns]
    found: list[Value] = [*column.choices]
    if not column.choices:
        found += _patterned(own, random)
        found += _spelled(column, own, number)
        usual = list(_usual(column, number, random))
        # a real time is better than any text of a time's shape
        fitting = [value for value in usual if isinstance(value, str) and _fits(value, own)]
        # where nothing is spelled out the usual value comes first, else it is worth a try as well
        found = [*usual, *found] if not found or column.is_key else [*fitting, *found, *usual]
    if column.length is not None:
        found = [value[: column.length] if isinstance(value, str) else value for value in found]
    return list(dict.fromkeys(_typed(column, found)))


def _patterned(rules: Sequence[Rule], random: Random) -> Iterator[str]:
    makers = {"GLOB": glob_text, "LIKE": like_text, "ILIKE": like_text, "~": regex_text, "REGEXP": regex_text}
    for rule in rules:
        for operator, pattern in rule.patterns:
            made = makers.get(operator, like_text)(pattern, random)
            yield made
            if operator == "GLOB" and pattern.endswith("*") and made:
                yield from (made + made[-1] * (size - len(made)) for size in _sizes(rule) if size > len(made))


def _sizes(rule: Rule) -> list[int]:
    """Give the lengths that a rule may be about."""
    numbers = (_number(token.text) for token in rule.literals if token.kind == "number")
    is_told = "length" in rule.words
    return [size for one in numbers if is_told and 0 < one <= 10_000 for size in (int(one), int(one) + 1)]


def _fits(value: str, rules: Sequence[Rule]) -> bool:
    globs = [pattern for rule in rules for operator, pattern in rule.patterns if operator == "GLOB"]
    return bool(globs) and all(fnmatchcase(value, pattern.replace("[^", "[!")) for pattern in globs)


def _spelled(column: Column, rules: Sequence[Rule], number: int) -> Iterator[Value]:
    for rule in rules:
        numbers = [_number(token.text) for token in rule.literals if token.kind == "number"]
        texts = [unquote(token) for token in rule.literals if token.kind == "string"]
        if column.kind in ("integer", "real", "boolean", "interval") or column.kind == "any":
            yield from (near for one in numbers for near in (one, one + 1, one - 1, one * 2, -one, one / 2))
        if column.kind in ("text", "json", "blob") or column.kind == "any":
            yield from texts
            yield from (made for one in texts for made in _moments(one, number))
            yield from _lengths(rule, numbers, number)
            yield from (
                made for one in texts for made in (f"a{one}a", f"{one}a", f"a{one}", one.upper(), one.lower())
            )
            yield from _documents(rule, texts, numbers)
        elif column.kind == "array":
            yield from (json.dumps([one]).replace("[", "{").replace("]", "}") for one in texts)
        elif texts and column.kind not in ("integer", "real"):
            yield from texts


def _moments(form: str, number: int) -> Iterator[str]:
    """Give a time in the form that a rule spells out for strftime()."""
    if "%Y" in form or "%H" in form:
        moment = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        yield moment.strftime(form.replace("%f", "%S.000"))


def _lengths(rule: Rule, numbers: Sequence[int | float], number: int) -> Iterator[str]:
    if not rule.words & {"length", "char_length", "octet_length", "substr", "substring", "character_length"}:
        return
    for one in numbers:
        for size in (int(one), int(one) + 1, int(one) - 1):
            if 0 <= size <= 10_000:
                yield (f"{number:x}" + "0123456789abcdef" * (size // 16 + 1))[:size]


def _documents(rule: Rule, texts: Sequence[str], numbers: Sequence[int | float]) -> Iterator[str]:
    """Make JSON documents that hold, at each path which the rule names, each value that it names."""
    paths = [text[2:] for text in texts if text.startswith("$.")]
    if "->" in rule.text:
        paths += texts
    if not paths and not any("json" in word for word in rule.words):
        return
    values: list[object] = [*(text for text in texts if not text.startswith("$")), *numbers, 1, "x"]
    for value in values:
        document: dict[str, object] = {}
        for path in paths:
            document[path.split(".")[0].strip('"')] = value
        yield json.dumps(document)
    yield from ("{}", "[]", '"a"', "1", "[1]", '["a"]', "[{}]")


def _usual(column: Column, number: int, random: Random) -> Iterator[Value]:
    """Give what a column of such a type usually holds."""
    day = f"20{20 + number // 336 % 60:02d}-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}"
    clock = f"{number % 24:02d}:{number % 60:02d}:00"
    by_kind = _by_kind(column, number, (day, clock), random)
    yield from by_kind.get(column.kind, ())
    if column.kind in by_kind:
        return
    if column.kind == "any":
        yield from (number, f"{column.name} {number}", number + 0.5, b"\x00")
    yield f"{column.name} {number}"
    yield from (f"{number}", f"{column.name.lower().replace(' ', '_')}{number}@example.org", "a", "A", "")
    yield from (
        f"{day}T{clock}.000000Z",
        f"{day} {clock}",
        day,
        clock,
        "{}",
        "[]",
        _uuid(number),
        f"{number:032x}",
        f"{number:064x}",
    )


def _by_kind(
    column: Column, number: int, moment: tuple[str, str], random: Random
) -> dict[str, tuple[Value, ...]]:
    day, clock = moment
    return {
        "integer": (number, 1, 0, 2, -1, 100),
        "real": (number + 0.5, float(number), 1.0, 0.0, 0.5, -1.0, 100.0),
        "boolean": (number % 2, 1, 0),
        "timestamp": (f"{day} {clock}", f"{day}T{clock}Z", "2026-01-02 03:04:05"),
        "date": (day, "2026-01-02", "2000-02-29"),
        "time": (clock,),
        "interval": (f"{number} hours", "1 day"),
        "uuid": (f"{random.getrandbits(32):08x}-0000-4000-8000-{number:012x}",),
        "ranges": (f"{{[{number},{number + 1})}}", f"{{[{day},infinity)}}", "{}"),
        "shape": (_SHAPES.get(column.type.split("(")[0], ""),),
        "path in json": ("$.a",),
        "class": ("pg_class",),
        "json": (json.dumps({"number": number}), "{}", "[]", "1", '"a"', json.dumps([number])),
        "blob": (f"{column.name} {number}".encode(), b"", b"\x00" * 16, b"\x00\xff"),
        "inet": (f"10.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}",),
        "mac": (f"02:00:00:00:{number // 256 % 256:02x}:{number % 256:02x}",),
        "bits": (format(number, "b").zfill(column.length or 1)[-(column.length or 1) :], "1", "0", "1010"),
        "range": _ranges(column, number, day),
        "point": (f"({number},{number})",),
        "array": ("{}", f"{{{number}}}", "{a}"),
    }


def _ranges(column: Column, number: int, day: str) -> tuple[str, ...]:
    """Give ranges of a type, each apart from those of other numbers."""
    if re.match(r"int|num", column.type):
        return (f"[{number},{number + 1})", "empty")
    return (f"[{day},{day}]", f"[{day},infinity)", "empty")


def _uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def _typed(column: Column, values: Sequence[Value]) -> Iterator[Value]:
    """Bring values to what the type stores without complaint, where that is known."""
    kind = column.kind
    for value in values:
        if kind in ("integer", "real") and isinstance(value, str):
            continue
        if kind == "integer" and isinstance(value, float):
            value = int(value)
        if kind == "blob" and isinstance(value, str):
            value = value.encode()
        if kind == "text" and isinstance(value, (int, float)):
            value = str(value)
        if not isinstance(value, int) or -(2**63) <= value < 2**63:
            yield value


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    if plain.lower().startswith("0x"):
        return int(plain, 16)
    return float(plain) if set(plain) & set(".eE") else int(plain)
