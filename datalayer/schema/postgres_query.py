"""SQLite queries in PostgreSQL's words: SELECT with joins, grouping, order and limit.

Adds to postgres_expression what stands around expressions. A query in FROM, WITH and windows raise
Unsupported.
"""

from __future__ import annotations

from collections.abc import Sequence

from datalayer.schema.postgres_expression import Expressions, Query, Source
from datalayer.schema.postgres_functions import Value, adapt, as_condition, ordered
from datalayer.schema.postgres_types import Kind, Unsupported
from datalayer.schema.tokens import KEYWORDS, fold, quote

__all__ = ["Query", "Source", "Translator"]

# keywords that SQLite takes as a name where a name stands
_NAMES = {"KEY", "ACTION", "DESC", "ASC", "ROW", "ROWS", "PLAN", "QUERY", "VIEW", "FIRST", "LAST", "NO"}
_AGGREGATES = {"count", "sum", "avg", "total", "max", "min", "group_concat", "string_agg"}
_ENDS = ("WHERE", "GROUP", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", ")")


class Translator(Expressions):
    """Translates expressions and queries of one text."""

    def query(self, targets: Sequence[Kind] = ()) -> Query:
        """Translate a SELECT or VALUES, with what is joined to it by UNION and its like. Raises Unsupported.

        `targets` are the kinds of the columns that its values are stored in.
        """
        self.scopes.append(())
        first = self._core(targets)
        parts, joined = [first.sql], set[str]()
        while word := self.reader.accept_one("UNION", "EXCEPT", "INTERSECT"):
            joined.add(word)
            parts += [word + (" ALL" if self.reader.accept("ALL") else ""), self._core(targets).sql]
        if len(joined) > 1:
            raise Unsupported(f"{' and '.join(sorted(joined))} in one query", "write it as two conditions")
        if self.reader.accept("ORDER", "BY"):
            parts.append("ORDER BY " + self._ordering())
        if self.reader.accept("LIMIT"):
            parts.append("LIMIT " + self.binary(1).sql)
            if self.reader.accept("OFFSET"):
                parts.append("OFFSET " + self.binary(1).sql)
        self.scopes.pop()
        return Query(" ".join(parts), first.kinds, first.is_grouped or bool(joined))

    def _core(self, targets: Sequence[Kind]) -> Query:
        if self.reader.accept("VALUES"):
            self.reader.expect("(")
            values = self.values()
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
            sql += f" WHERE {as_condition(self.binary(1))}"
        grouped = self.reader.accept("GROUP", "BY")
        if grouped:
            sql += " GROUP BY " + ", ".join(value.sql for value in self._comma_list())
            if self.reader.accept("HAVING"):
                sql += f" HAVING {as_condition(self.binary(1))}"
        return Query(sql, kinds, grouped or bool(distinct) or is_aggregate or not source)

    def _comma_list(self) -> list[Value]:
        values = [self.binary(1)]
        while self.reader.accept(","):
            values.append(self.binary(1))
        return values

    def skip_to_from(self) -> bool:
        """Go past the FROM of this SELECT; stay behind its end when it has none, and say which."""
        depth = 0
        while not self.reader.at_end:
            word = self.reader.peek().upper
            if depth == 0 and word in _ENDS:
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
        while join := self._join():
            table = self._source(sources)
            if self.reader.accept("ON"):
                # SQLite takes an ON behind every kind of join, PostgreSQL not behind a cross join
                sql += f" {join.replace('CROSS ', '')} {table} ON {as_condition(self.binary(1))}"
            else:
                sql += f" {join} {table}" if join == "CROSS JOIN" else f" {join} {table} ON TRUE"
        return sql

    def _join(self) -> str:
        """Go past a comma or the words of a join; an empty string when none comes."""
        if self.reader.accept(","):
            return "CROSS JOIN"
        left = self.reader.accept("LEFT")
        self.reader.accept("OUTER")
        word = self.reader.accept_one("INNER", "CROSS")
        if not self.reader.accept("JOIN"):
            return ""
        return "LEFT JOIN" if left else "CROSS JOIN" if word == "CROSS" else "JOIN"

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
            self.reader.peek().kind in ("word", "identifier")
            and self.reader.peek().upper not in KEYWORDS - _NAMES
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
                value = self.binary(1)
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
            bool(words & _AGGREGATES),
        )

    def _ordering(self) -> str:
        terms: list[str] = []
        while True:
            value = self.binary(1)
            down = self.reader.accept_one("ASC", "DESC") == "DESC"
            nulls = self.reader.take().upper if self.reader.accept("NULLS") else "LAST" if down else "FIRST"
            terms.append(f"{ordered(value)}{' DESC' if down else ''} NULLS {nulls}")
            if not self.reader.accept(","):
                return ", ".join(terms)
