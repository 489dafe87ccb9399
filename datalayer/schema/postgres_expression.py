"""SQLite expressions in PostgreSQL's words: read with SQLite's precedence, written with all parentheses.

Knows the columns through postgres_types, so that 0 and 1 become FALSE and TRUE beside a boolean. Whatever
has no sure translation raises Unsupported.
https://sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datalayer.schema.postgres_functions import (
    Value,
    adapt,
    as_condition,
    beside,
    call,
    common_kind,
    ordered,
    together,
)
from datalayer.schema.postgres_types import Kind, Layout, PgTable, Unsupported
from datalayer.schema.reader import Reader, Unexpected
from datalayer.schema.tokens import Token, canonical, fold, quote, quote_text, tokenize, unquote

__all__ = ["Expressions", "Query", "Source"]

_NOW = canonical(tokenize("strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"))
# words that end an expression's operand or list, and so are never a column's name where they stand bare
_CLAUSE_LIST = "FROM WHERE GROUP HAVING ORDER LIMIT OFFSET UNION EXCEPT INTERSECT ON USING SET VALUES"
_CLAUSES = frozenset(_CLAUSE_LIST.split())
_LEVELS: tuple[tuple[int, str], ...] = (
    (1, "OR"),
    (2, "AND"),
    (4, "= == <> != IS IN NOT LIKE GLOB BETWEEN ISNULL NOTNULL MATCH REGEXP"),
    (5, "< <= > >="),
    (7, "& | << >>"),
    (8, "+ -"),
    (9, "* / %"),
    (10, "|| -> ->>"),
    (11, "COLLATE"),
)
_POWERS = {word: power for power, words in _LEVELS for word in words.split()}
_UNARY = 12


@dataclass(frozen=True, slots=True)
class Source:
    """A table that names are looked up in: under `alias`, its bare columns written after `prefix`."""

    alias: str
    table: PgTable
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A translated query.

    `is_grouped` says that its rows are not rows of one table, so they cannot be locked.
    """

    sql: str
    kinds: tuple[Kind, ...]
    is_grouped: bool


class Expressions(ABC):
    """Reads expressions of one text.

    `row` is the table of NEW and OLD in a trigger; `sources` are searched for names.
    """

    def __init__(
        self,
        text: str,
        layout: Layout,
        sources: Sequence[Source] = (),
        *,
        row: PgTable | None = None,
        tokens: Sequence[Token] | None = None,
    ) -> None:
        self.reader = Reader(text, tokens)
        self.layout = layout
        self.scopes: list[Sequence[Source]] = [sources]
        self.row = row
        self.tables_read: set[str] = set()

    def whole(self) -> Value:
        """Translate the text as one expression. Raises Unsupported."""
        value = self.expression()
        self.finish()
        return value

    def finish(self) -> None:
        """Raise Unsupported when something is left."""
        if not self.reader.at_end:
            raise self._unknown(self.reader.peek())

    def expression(self) -> Value:
        """Translate one expression from where the reader stands. Raises Unsupported with its position."""
        try:
            return self.binary(1)
        except Unsupported as exc:
            place = max(self.reader.place - 1, 0)
            exc.position = exc.position or self.reader.tokens[place].start
            raise
        except Unexpected as exc:
            raise self._unknown(self.reader.peek()) from exc

    @abstractmethod
    def query(self, targets: Sequence[Kind] = ()) -> Query:
        """Translate the query on which the reader stands.

        `targets` are the kinds its values are stored in.
        """

    # -- operators --------------------------------------------------------------------------------------

    def binary(self, power: int) -> Value:
        """Translate an expression whose operators bind at least as strongly as `power` (1: any)."""
        left = self._prefix()
        while True:
            word = self.reader.peek().upper
            mine = _POWERS.get(word, 0)
            if mine < power or not mine:
                return left
            if word == "NOT" and self.reader.peek(1).upper not in ("IN", "LIKE", "GLOB", "BETWEEN", "NULL"):
                return left
            self.reader.take()
            left = self._operator(left, word, mine)

    def _operator(self, left: Value, word: str, power: int) -> Value:
        if word in ("AND", "OR"):
            right = self.binary(power + 1)
            return Value(f"({as_condition(left)} {word} {as_condition(right)})", "bool")
        if power in (4, 5) and word not in ("=", "==", "<>", "!=", "<", "<=", ">", ">="):
            return self._predicate(left, word)
        if word == "COLLATE":
            return self._collate(left)
        right = self.binary(power + 1)
        if power in (4, 5):
            return self._compare(left, {"==": "=", "!=": "<>"}.get(word, word), right)
        if word == "||":
            return Value(f"({adapt(left, 'text')} || {adapt(right, 'text')})", "text")
        if word in ("->", "->>"):
            raise Unsupported(f"the operator {word}", "keep what a rule needs in a column of its own")
        return _arithmetic(left, word, right)

    def _compare(self, left: Value, operator: str, right: Value) -> Value:
        if "json" in (left.kind, right.kind) and operator not in (
            "=",
            "<>",
            "IS DISTINCT FROM",
            "IS NOT DISTINCT FROM",
        ):
            raise Unsupported("JSON values compared by order", "compare a column that holds the value itself")
        first, second, kind = together(left, right)
        if operator in ("<", "<=", ">", ">="):
            first = ordered(Value(first, kind))
        return Value(f"({first} {operator} {second})", "bool")

    def _predicate(self, left: Value, word: str) -> Value:
        if word in ("ISNULL", "NOTNULL"):
            return Value(f"({left.sql} IS {'NOT ' if word == 'NOTNULL' else ''}NULL)", "bool")
        if word == "IS":
            return self._is(left)
        negated = word == "NOT"
        if negated:
            word = self.reader.take().upper
            if word == "NULL":
                return Value(f"({left.sql} IS NOT NULL)", "bool")
        no = "NOT " if negated else ""
        if word == "IN":
            return self._in(left, no)
        if word == "BETWEEN":
            low = self.binary(5)
            self.reader.expect("AND")
            high = self.binary(5)
            if (low.ignores_case or high.ignores_case) and not left.ignores_case:
                raise Unsupported("COLLATE behind BETWEEN", "write it at the value that is compared")
            first, (low_sql, high_sql), kind = beside(left, (low, high))
            tested = ordered(Value(first, kind))
            # PostgreSQL tells a BETWEEN as two comparisons, and reads what it tells otherwise than a BETWEEN:
            # a rule with one among others would never be as wanted
            if negated:
                return Value(f"({tested} < {low_sql} OR {tested} > {high_sql})", "bool")
            return Value(f"({tested} >= {low_sql} AND {tested} <= {high_sql})", "bool")
        if word in ("LIKE", "GLOB"):
            return self._matches(left, word, no)
        raise Unsupported(f"the operator {word}", "write the rule with =, IN, LIKE or GLOB")

    def _is(self, left: Value) -> Value:
        no = "NOT " if self.reader.accept("NOT") else ""
        if self.reader.accept("DISTINCT", "FROM"):
            no = "" if no else "NOT "
        elif self.reader.peek().upper in ("TRUE", "FALSE"):
            return Value(f"({as_condition(left)} IS {no}{self.reader.take().upper})", "bool")
        elif self.reader.accept("NULL"):
            return Value(f"({left.sql} IS {no}NULL)", "bool")
        right = self.binary(5)
        return self._compare(left, "IS DISTINCT FROM" if no else "IS NOT DISTINCT FROM", right)

    def _in(self, left: Value, no: str) -> Value:
        if not self.reader.accept("("):
            raise Unsupported("IN with the name of a table", "write IN (SELECT column FROM table)")
        if self.reader.accept(")"):
            return Value("TRUE" if no else "FALSE", "bool")
        if self.reader.peek().upper in ("SELECT", "VALUES", "WITH"):
            query = self.query()
            self.reader.expect(")")
            together(left, Value("", query.kinds[0]))
            return Value(f"({left.sql} {no}IN ({query.sql}))", "bool")
        values = self.values()
        first, others, _ = beside(left, values)
        return Value(f"({first} {no}IN ({', '.join(others)}))", "bool")

    def _matches(self, left: Value, word: str, no: str) -> Value:
        pattern = self.binary(5)
        if left.kind not in ("text", "any"):
            raise Unsupported(f"{word} on a {left.kind} value", f"use {word} on text")
        if word == "GLOB":
            if pattern.literal is None:
                raise Unsupported("GLOB with a computed pattern", "write the pattern as a literal")
            return Value(f"({left.sql} {'!~' if no else '~'} {quote_text(_regex(pattern.literal))})", "bool")
        escape = self.binary(7).sql if self.reader.accept("ESCAPE") else "''"
        # SQLite's LIKE makes no difference between upper and lower case of ASCII letters; lower() in "C"
        # does the same
        return Value(
            f'(lower({left.sql} COLLATE "C") {no}LIKE lower({pattern.sql} COLLATE "C") ESCAPE {escape})',
            "bool",
        )

    def _collate(self, left: Value) -> Value:
        name = self.reader.name().upper()
        if name == "BINARY":
            return left
        if name == "NOCASE" and left.kind in ("text", "any"):
            # NOCASE folds the 26 letters of ASCII, as lower() does under the "C" collation of the column
            return Value(f'lower({left.sql} COLLATE "C")', "text", ignores_case=True)
        raise Unsupported(f"COLLATE {name} here", "compare lower(x) with lower(y)")

    # -- operands ---------------------------------------------------------------------------------------

    def _prefix(self) -> Value:
        reader = self.reader
        if self._takes_now():
            return Value("clock_timestamp()", "time")
        token = reader.take()
        word = token.upper
        if word == "NOT":
            return Value(f"(NOT {as_condition(self.binary(3))})", "bool")
        if word in ("-", "+", "~"):
            return _signed(word, self.binary(_UNARY))
        if word == "(":
            return self._parenthesis()
        if token.kind == "string":
            return _text(unquote(token))
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "blob":
            return Value(f"'\\x{token.text[2:-1].lower()}'::bytea", "blob")
        if token.kind == "word" and word in _WORDS:
            return _WORDS[word]
        if word == "CASE":
            return self._case()
        if word == "EXISTS":
            reader.expect("(")
            query = self.query()
            reader.expect(")")
            return Value(f"(EXISTS ({query.sql}))", "bool")
        if word == "CAST":
            return self._cast()
        if token.kind not in ("word", "identifier") or word in _CLAUSES:
            raise self._unknown(token)
        return self._function(token) if reader.sees("(") else self._name(token)

    def _takes_now(self) -> bool:
        ahead = self.reader.tokens[self.reader.place : self.reader.place + len(_NOW)]
        if len(ahead) < len(_NOW) or canonical(ahead) != _NOW:
            return False
        self.reader.place += len(_NOW)
        return True

    def _parenthesis(self) -> Value:
        if self.reader.peek().upper in ("SELECT", "VALUES", "WITH"):
            query = self.query()
            self.reader.expect(")")
            return Value(f"({query.sql})", query.kinds[0])
        values = self.values()
        if len(values) == 1:
            return values[0]
        return Value(f"({', '.join(value.sql for value in values)})", "any")

    def values(self) -> list[Value]:
        """Translate expressions up to the closing parenthesis, and go past that."""
        values = [self.binary(1)]
        while self.reader.accept(","):
            values.append(self.binary(1))
        self.reader.expect(")")
        return values

    def _case(self) -> Value:
        base = None if self.reader.sees("WHEN") else self.binary(1)
        conditions: list[str] = []
        results: list[Value] = []
        while self.reader.accept("WHEN"):
            value = self.binary(1)
            conditions.append(self._compare(base, "=", value).sql if base else as_condition(value))
            self.reader.expect("THEN")
            results.append(self.binary(1))
        last = self.binary(1) if self.reader.accept("ELSE") else Value("NULL", "null")
        self.reader.expect("END")
        kind = common_kind((*results, last))
        if kind == "null":
            return last
        whens = " ".join(f"WHEN {when} THEN {adapt(then, kind)}" for when, then in zip(conditions, results))
        return Value(f"(CASE {whens} ELSE {adapt(last, kind)} END)", kind)

    def _cast(self) -> Value:
        self.reader.expect("(")
        value = self.binary(1)
        self.reader.expect("AS")
        declared = " ".join(token.text for token in self._until_close()).upper()
        if "INT" in declared and value.kind in ("int", "bool", "real", "number"):
            # SQLite cuts off what is behind the point, PostgreSQL's own cast would round
            whole = value.sql if value.kind in ("int", "bool") else f"trunc(({value.sql})::numeric)"
            return Value(f"({whole})::int::bigint" if value.kind == "bool" else f"({whole})::bigint", "int")
        if any(word in declared for word in ("CHAR", "CLOB", "TEXT")) and value.kind in ("int", "text"):
            return Value(f"({value.sql})::text", "text")
        if any(word in declared for word in ("REAL", "FLOA", "DOUB")) and value.kind in (
            "int",
            "real",
            "number",
        ):
            return Value(f"({value.sql})::double precision", "real")
        raise Unsupported(
            f"CAST of a {value.kind} value AS {declared}", "store the value in the type that is needed"
        )

    def _until_close(self) -> list[Token]:
        tokens: list[Token] = []
        depth = 1
        while True:
            token = self.reader.take()
            depth += (token.upper == "(") - (token.upper == ")")
            if depth == 0:
                return tokens
            tokens.append(token)

    def _function(self, token: Token) -> Value:
        name = fold(unquote(token))
        self.reader.expect("(")
        if self.reader.accept("*"):
            self.reader.expect(")")
            values: list[Value] = []
        elif self.reader.sees("DISTINCT"):
            self.reader.take()
            values = [Value(f"DISTINCT {value.sql}", value.kind) for value in self.values()]
        else:
            values = [] if self.reader.accept(")") else self.values()
        if self.reader.peek().upper in ("OVER", "FILTER"):
            raise Unsupported(f"{name}() {self.reader.peek().upper}", "write the rule without it")
        return call(name, values)

    def _name(self, token: Token) -> Value:
        first = unquote(token)
        if not self.reader.sees("."):
            return self._bare(token, first)
        self.reader.take()
        column = self.reader.name()
        if self.row is not None and fold(first) in ("new", "old"):
            return self._column(self.row, column, f"{first.upper()}.")
        for scope in reversed(self.scopes):
            for source in scope:
                if fold(source.alias) == fold(first):
                    return self._column(source.table, column, f"{quote(source.alias)}.")
        raise Unsupported(f"{first}.{column}", "name a column of a table in the FROM clause")

    def _bare(self, token: Token, name: str) -> Value:
        for scope in reversed(self.scopes):
            for source in scope:
                if source.table.column(name) is not None:
                    return self._column(source.table, name, source.prefix)
        if token.kind == "identifier" and token.text[0] == '"':
            return _text(name)  # what SQLite does with a quoted name that no column has
        raise Unsupported(f"the name {name}", "name a column of the table")

    def _column(self, table: PgTable, name: str, prefix: str) -> Value:
        column = table.column(name)
        if column is None:
            raise Unsupported(f"the column {table.name}.{name}", "name a column that the table has")
        return Value(prefix + quote(column.name), column.kind)

    def _unknown(self, token: Token) -> Unsupported:
        return Unsupported(
            f"{token.text or 'the end of the text'!r}", "keep to the portable subset of SQL", token.start
        )


def _signed(word: str, value: Value) -> Value:
    if word == "+" or value.kind == "null":
        return value  # a plus changes nothing, not even the type
    if value.kind not in ("int", "real", "number", "bool", "null") or (word == "~" and value.kind == "real"):
        raise Unsupported(f"{word} before a {value.kind} value", "use numbers")
    literal = f"-{value.literal}" if word == "-" and value.literal is not None else None
    kind: Kind = "int" if value.kind == "bool" else value.kind
    return Value(f"({word} {adapt(value, kind)})", kind, literal)


def _arithmetic(left: Value, word: str, right: Value) -> Value:
    kinds = {left.kind, right.kind}
    odd = kinds - {"int", "real", "number", "bool", "any", "null"}
    if odd:
        raise Unsupported(f"a {odd.pop()} value in arithmetic", "use numbers")
    if word not in ("+", "-", "*", "/") and kinds & {"real", "number"}:
        raise Unsupported(f"the operator {word} on numbers with fractions", "use integers")
    if word in ("<<", ">>") and not (right.literal or "").isdigit():
        raise Unsupported(f"{word} by a computed number", "write the number of bits as a literal")
    if "null" in kinds:
        return Value("NULL", "null")
    first, second = (adapt(value, "int") if value.kind == "bool" else value.sql for value in (left, right))
    if word in ("/", "%"):
        second = f"NULLIF({second}, 0)"  # a division by zero is NULL on SQLite, an error on PostgreSQL
    kind: Kind = "real" if "real" in kinds else "number" if "number" in kinds else "int"
    return Value(f"({first} {word} {second})", kind)


def _text(value: str) -> Value:
    if "\0" in value:
        raise Unsupported("a NUL character in a text", "PostgreSQL stores none: write the text without it")
    return Value(quote_text(value), "text", value)


def _number(text: str) -> Value:
    plain = text.replace("_", "")
    if plain[:2].lower() == "0x":
        plain = str(int(plain, 16))
    return Value(plain, "int" if plain.isdigit() else "real", plain)


_WORDS: Mapping[str, Value] = {
    "NULL": Value("NULL", "null"),
    "TRUE": Value("TRUE", "bool"),
    "FALSE": Value("FALSE", "bool"),
    "CURRENT_TIMESTAMP": call("datetime", []),
    "CURRENT_DATE": call("date", []),
    "CURRENT_TIME": call("time", []),
}


def _regex(glob: str) -> str:
    """Turn a GLOB pattern into a regular expression for the whole text. Raises Unsupported for an open [."""
    parts: list[str] = []
    place = 0
    while place < len(glob):
        letter = glob[place]
        if letter == "*":
            parts.append(".*")
        elif letter == "?":
            parts.append(".")
        elif letter == "[":
            # a ] directly behind [ or [^ stands for itself
            end = glob.find("]", place + (3 if glob[place + 1 : place + 2] == "^" else 2))
            if end < 0:
                raise Unsupported("GLOB with a [ that is not closed", "close it")
            inside = glob[place + 1 : end].replace("\\", "\\\\")
            # PostgreSQL reads [: [. and [= inside as classes
            parts.append("[" + re.sub(r"\[(?=[:.=])", r"\\[", inside) + "]")
            place = end
        else:
            parts.append(re.escape(letter) if letter.isascii() else letter)
        place += 1
    return "^" + "".join(parts) + "$"
