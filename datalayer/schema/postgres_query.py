"""SQLite expressions and queries in PostgreSQL's words: read with SQLite's precedence, written with all parentheses.

Knows the columns through postgres_types, so that 0 and 1 become FALSE and TRUE beside a boolean. Whatever has no sure
translation raises Unsupported. Precedence: https://sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datalayer.schema.postgres_functions import Value, adapt, as_condition, call, together
from datalayer.schema.postgres_types import Kind, Layout, PgTable, Unsupported
from datalayer.schema.reader import Reader, Unexpected
from datalayer.schema.tokens import KEYWORDS, Token, canonical, fold, quote, quote_text, tokenize, unquote

__all__ = ["Query", "Source", "Translator"]

_NOW = canonical(tokenize("strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"))
# words that end an expression's operand or list, and so are never a column's name where they stand bare
_CLAUSES = frozenset(
    [
        "FROM",
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "ON",
        "USING",
        "SET",
        "VALUES",
    ]
)
_NOT_ALIASES = KEYWORDS - frozenset(
    ["KEY", "ACTION", "DESC", "ASC", "ROW", "ROWS", "PLAN", "QUERY", "VIEW", "FIRST", "LAST", "NO"]
)
_POWERS: Mapping[str, int] = {
    "OR": 1,
    "AND": 2,
    "=": 4,
    "==": 4,
    "<>": 4,
    "!=": 4,
    "IS": 4,
    "IN": 4,
    "NOT": 4,
    "LIKE": 4,
    "GLOB": 4,
    "BETWEEN": 4,
    "ISNULL": 4,
    "NOTNULL": 4,
    "MATCH": 4,
    "REGEXP": 4,
    "<": 5,
    "<=": 5,
    ">": 5,
    ">=": 5,
    "&": 7,
    "|": 7,
    "<<": 7,
    ">>": 7,
    "+": 8,
    "-": 8,
    "*": 9,
    "/": 9,
    "%": 9,
    "||": 10,
    "->": 10,
    "->>": 10,
    "COLLATE": 11,
}
_UNARY = 12


@dataclass(frozen=True, slots=True)
class Source:
    """A table that names are looked up in: under `alias`, its bare columns written after `prefix`."""

    alias: str
    table: PgTable
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A translated query; `is_grouped` says that its rows are not rows of one table, so they cannot be locked."""

    sql: str
    kinds: tuple[Kind, ...]
    is_grouped: bool


class Translator:
    """Translates expressions and queries of one text. `old` and `new` are the row's names in a trigger."""

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
            return self._binary(1)
        except Unsupported as exc:
            place = max(self.reader.place - 1, 0)
            exc.position = exc.position or self.reader.tokens[place].start
            raise
        except Unexpected as exc:
            raise self._unknown(self.reader.peek()) from exc

    # -- operators --------------------------------------------------------------------------------------------------

    def _binary(self, power: int) -> Value:
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
            right = self._binary(power + 1)
            return Value(f"({as_condition(left)} {word} {as_condition(right)})", "bool")
        if power in (4, 5) and word not in ("=", "==", "<>", "!=", "<", "<=", ">", ">="):
            return self._predicate(left, word)
        if word == "COLLATE":
            return self._collate(left)
        right = self._binary(power + 1)
        if power in (4, 5):
            return self._compare(left, {"==": "=", "!=": "<>"}.get(word, word), right)
        if word == "||":
            return Value(f"({adapt(left, 'text')} || {adapt(right, 'text')})", "text")
        if word in ("->", "->>"):
            raise Unsupported(f"the operator {word}", "keep what a rule needs in a column of its own")
        numbers = [adapt(value, "int") if value.kind == "bool" else value.sql for value in (left, right)]
        for value in (left, right):
            if value.kind not in ("int", "real", "number", "bool", "any", "null"):
                raise Unsupported(f"a {value.kind} value in arithmetic", "use numbers")
        kinds = {left.kind, right.kind}
        kind: Kind = "real" if "real" in kinds else "number" if "number" in kinds else "int"
        return Value(f"({numbers[0]} {word} {numbers[1]})", kind)

    def _compare(self, left: Value, operator: str, right: Value) -> Value:
        if "json" in (left.kind, right.kind) and operator not in (
            "=",
            "<>",
            "IS DISTINCT FROM",
            "IS NOT DISTINCT FROM",
        ):
            raise Unsupported("JSON values compared by order", "compare a column that holds the value itself")
        first, second, _ = together(left, right)
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
            low = self._binary(5)
            self.reader.expect("AND")
            high = self._binary(5)
            first, low_sql, _ = together(left, low)
            _, high_sql, _ = together(left, high)
            return Value(f"({first} {no}BETWEEN {low_sql} AND {high_sql})", "bool")
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
        right = self._binary(5)
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
        values = self._list()
        pairs = [together(left, value) for value in values]
        return Value(f"({pairs[0][0]} {no}IN ({', '.join(second for _, second, _ in pairs)}))", "bool")

    def _matches(self, left: Value, word: str, no: str) -> Value:
        pattern = self._binary(5)
        if left.kind not in ("text", "any"):
            raise Unsupported(f"{word} on a {left.kind} value", f"use {word} on text")
        if word == "GLOB":
            if pattern.literal is None:
                raise Unsupported("GLOB with a computed pattern", "write the pattern as a literal")
            return Value(f"({left.sql} {'!~' if no else '~'} {quote_text(_regex(pattern.literal))})", "bool")
        escape = self._binary(7).sql if self.reader.accept("ESCAPE") else "''"
        # SQLite's LIKE makes no difference between upper and lower case of ASCII letters; lower() in "C" does the same
        return Value(f"(lower({left.sql}) {no}LIKE lower({pattern.sql}) ESCAPE {escape})", "bool")

    def _collate(self, left: Value) -> Value:
        name = self.reader.name().upper()
        if name == "BINARY":
            return left
        if name == "NOCASE" and left.kind in ("text", "any"):
            # NOCASE folds the 26 letters of ASCII, as lower() does under the "C" collation of the column
            return Value(f'lower({left.sql} COLLATE "C")', "text")
        raise Unsupported(f"COLLATE {name} here", "compare lower(x) with lower(y)")

    # -- operands ---------------------------------------------------------------------------------------------------

    def _prefix(self) -> Value:
        reader = self.reader
        if self._takes_now():
            return Value("clock_timestamp()", "time")
        token = reader.take()
        word = token.upper
        if word == "NOT":
            return Value(f"(NOT {as_condition(self._binary(3))})", "bool")
        if word in ("-", "+", "~"):
            value = self._binary(_UNARY)
            literal = f"-{value.literal}" if word == "-" and value.literal is not None else None
            return value if word == "+" else Value(f"({word} {value.sql})", value.kind, literal)
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
        values = self._list()
        if len(values) == 1:
            return values[0]
        return Value(f"({', '.join(value.sql for value in values)})", "any")

    def _list(self) -> list[Value]:
        """Read expressions up to the closing parenthesis, and that."""
        values = [self._binary(1)]
        while self.reader.accept(","):
            values.append(self._binary(1))
        self.reader.expect(")")
        return values

    def _case(self) -> Value:
        base = None if self.reader.sees("WHEN") else self._binary(1)
        conditions: list[str] = []
        results: list[Value] = []
        while self.reader.accept("WHEN"):
            value = self._binary(1)
            conditions.append(self._compare(base, "=", value).sql if base else as_condition(value))
            self.reader.expect("THEN")
            results.append(self._binary(1))
        last = self._binary(1) if self.reader.accept("ELSE") else Value("NULL", "null")
        self.reader.expect("END")
        kind = next((value.kind for value in (*results, last) if value.kind != "null"), "null")
        whens = " ".join(f"WHEN {when} THEN {adapt(then, kind)}" for when, then in zip(conditions, results))
        return Value(f"(CASE {whens} ELSE {adapt(last, kind)} END)", kind)

    def _cast(self) -> Value:
        self.reader.expect("(")
        value = self._binary(1)
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
            values = [Value(f"DISTINCT {value.sql}", value.kind) for value in self._list()]
        else:
            values = [] if self.reader.accept(")") else self._list()
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

    # -- queries ----------------------------------------------------------------------------------------------------

    def query(self, targets: Sequence[Kind] = ()) -> Query:
        """Translate a SELECT or VALUES, with what is joined to it by UNION and its like. Raises Unsupported.

        `targets` are the kinds of the columns that its values are stored in.
        """
        parts: list[str] = []
        first: Query | None = None
        self.scopes.append(())
        while True:
            core = self._core(targets)
            first = first or core
            parts.append(core.sql)
            word = self.reader.accept_one("UNION", "EXCEPT", "INTERSECT")
            if not word:
                break
            parts.append(word + (" ALL" if self.reader.accept("ALL") else ""))
        if self.reader.accept("ORDER", "BY"):
            parts.append("ORDER BY " + self._ordering())
        if self.reader.accept("LIMIT"):
            parts.append("LIMIT " + self._binary(1).sql)
            if self.reader.accept("OFFSET"):
                parts.append("OFFSET " + self._binary(1).sql)
        self.scopes.pop()
        return Query(" ".join(parts), first.kinds, first.is_grouped or len(parts) > 1)

    def _core(self, targets: Sequence[Kind]) -> Query:
        if self.reader.accept("VALUES"):
            self.reader.expect("(")
            values = self._list()
            return Query(f"VALUES ({', '.join(v.sql for v in values)})", tuple(v.kind for v in values), True)
        if not self.reader.accept("SELECT"):
            raise Unsupported(f"{self.reader.peek().upper} in a query", "write a SELECT")
        distinct = "DISTINCT " if self.reader.accept("DISTINCT") else ""
        self.reader.accept("ALL")
        # the FROM clause first: it says what the names before it mean
        start = self.reader.place
        source = self.skip_to_from() and self.from_clause()
        after = self.reader.place
        self.reader.place = start
        items, kinds, is_aggregate = self._items(targets)
        self.reader.place = after if source else self.reader.place
        sql = f"SELECT {distinct}{items}" + (f" FROM {source}" if source else "")
        if self.reader.accept("WHERE"):
            sql += f" WHERE {as_condition(self._binary(1))}"
        grouped = self.reader.accept("GROUP", "BY")
        if grouped:
            sql += " GROUP BY " + ", ".join(value.sql for value in self._comma_list())
            if self.reader.accept("HAVING"):
                sql += f" HAVING {as_condition(self._binary(1))}"
        return Query(sql, kinds, grouped or bool(distinct) or is_aggregate or not source)

    def _comma_list(self) -> list[Value]:
        values = [self._binary(1)]
        while self.reader.accept(","):
            values.append(self._binary(1))
        return values

    def skip_to_from(self) -> bool:
        """Go past the FROM of this SELECT; stay behind its end when it has none, and say which."""
        depth = 0
        while not self.reader.at_end:
            word = self.reader.peek().upper
            if depth == 0 and word in (
                "WHERE",
                "GROUP",
                "ORDER",
                "LIMIT",
                "UNION",
                "EXCEPT",
                "INTERSECT",
                ")",
            ):
                return False
            # IS DISTINCT FROM is not a clause
            if depth == 0 and word == "FROM" and self.reader.peek(-1).upper != "DISTINCT":
                self.reader.take()
                return True
            depth += (word == "(") - (word == ")")
            self.reader.take()
        return False

    def from_clause(self) -> str:
        """Translate what stands behind FROM; its tables become the innermost scope."""
        sources: list[Source] = []
        sql = self._source(sources)
        while True:
            if self.reader.accept(","):
                join = "CROSS JOIN"
            else:
                left = "LEFT " if self.reader.accept("LEFT") else ""
                self.reader.accept("OUTER")
                kind = self.reader.accept_one("INNER", "CROSS")
                if not self.reader.accept("JOIN"):
                    break
                join = f"{left}JOIN" if kind != "CROSS" else "CROSS JOIN"
            sql += f" {join} {self._source(sources)}"
            self.scopes[-1] = tuple(sources)
            if self.reader.accept("ON"):
                sql = sql.replace("CROSS JOIN", "JOIN") if join == "CROSS JOIN" else sql
                sql += f" ON {as_condition(self._binary(1))}"
            elif join.endswith("JOIN") and join != "CROSS JOIN":
                sql += " ON TRUE"
        self.scopes[-1] = tuple(sources)
        return sql

    def _source(self, sources: list[Source]) -> str:
        if self.reader.sees("("):
            raise Unsupported("a query in FROM", "put it into EXISTS or IN")
        name = self.reader.name()
        table = self.layout.get(fold(name))
        if table is None:
            raise Unsupported(f"the table {name}", "read a table of this schema")
        self.tables_read.add(table.name)
        alias = table.name
        named = self.reader.accept("AS") or (
            self.reader.peek().kind in ("word", "identifier") and self.reader.peek().upper not in _NOT_ALIASES
        )
        if named:
            alias = self.reader.name()
        sources.append(Source(alias, table))
        self.scopes[-1] = tuple(sources)
        return quote(table.name) + (f" AS {quote(alias)}" if named else "")

    def _items(self, targets: Sequence[Kind]) -> tuple[str, tuple[Kind, ...], bool]:
        items: list[str] = []
        kinds: list[Kind] = []
        start = self.reader.place
        while True:
            if self.reader.accept("*"):
                items.append("*")
                kinds.append("any")
            else:
                value = self._binary(1)
                alias = self.reader.name() if self.reader.accept("AS") else ""
                if not alias and self.reader.peek().kind == "identifier":
                    alias = self.reader.name()
                sql = adapt(value, targets[len(items)]) if len(items) < len(targets) else value.sql
                items.append(sql + (f" AS {quote(alias)}" if alias else ""))
                kinds.append(value.kind)
            if not self.reader.accept(","):
                break
        words = {
            fold(token.text)
            for token in self.reader.tokens[start : self.reader.place]
            if token.kind == "word"
        }
        return (
            ", ".join(items),
            tuple(kinds),
            bool(words & {"count", "sum", "avg", "total", "max", "min", "group_concat"}),
        )

    def _ordering(self) -> str:
        terms: list[str] = []
        while True:
            value = self._binary(1)
            down = self.reader.accept_one("ASC", "DESC") == "DESC"
            nulls = self.reader.take().upper if self.reader.accept("NULLS") else "LAST" if down else "FIRST"
            terms.append(f"{value.sql}{' DESC' if down else ''} NULLS {nulls}")
            if not self.reader.accept(","):
                return ", ".join(terms)


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
