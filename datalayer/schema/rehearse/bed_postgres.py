"""A PostgreSQL schema as a bed for synthetic rows.

Works on the raw connection of a copy, inside one transaction; every value is sent as text, so that the
server brings it to the column's type.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, cast

from datalayer.engine.connection import Engine
from datalayer.schema.numbered.script import statements
from datalayer.schema.rehearse.filler import FillTable, Reference, Refusal, Row
from datalayer.schema.rehearse.values import Column, Omit, Rule, Value
from datalayer.schema.tokens import Token, quote, unquote

__all__ = ["PostgresBed", "filling"]

_SEEN = 100
# an identity column that is ALWAYS generated takes no value; a domain's base type is what its values are
_COLUMNS = """
SELECT c.relname, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid),
    CASE WHEN t.typbasetype <> 0 THEN t.typtypmod ELSE a.atttypmod END),
    a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
    a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', FALSE),
    CASE WHEN t.typtype = 'c' THEN ARRAY['(' || repeat(',', t.width - 1) || ')']
    ELSE ARRAY(SELECT e.enumlabel FROM pg_enum e
        WHERE e.enumtypid = coalesce(nullif(t.typbasetype, 0), a.atttypid)
        ORDER BY e.enumsortorder)::text[] END,
    ARRAY(SELECT k.conname || E'\\n' || pg_get_constraintdef(k.oid) FROM pg_constraint k
        WHERE k.contypid = a.atttypid)::text[]
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN (
    SELECT y.*, (SELECT count(*)::int FROM pg_attribute x
        WHERE x.attrelid = y.typrelid AND x.attnum > 0 AND NOT x.attisdropped) AS width FROM pg_type y
) t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
ORDER BY c.oid, a.attnum"""
_EMPTY = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p')
AND NOT c.relispartition ORDER BY c.oid"""
_RULES = """
SELECT c.relname, k.conname, pg_get_constraintdef(k.oid),
    ARRAY(SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey))::text[]
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = %s::regnamespace AND k.contype IN ('c', 'x')"""
# what a CHECK leaves to a function of its own
_CALLED = """
SELECT c.relname, k.conname, p.prosrc,
    ARRAY(SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey))::text[]
FROM pg_depend d JOIN pg_constraint k ON k.oid = d.objid JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_proc p ON p.oid = d.refobjid
WHERE d.classid = 'pg_constraint'::regclass AND d.refclassid = 'pg_proc'::regclass
AND c.relnamespace = %s::regnamespace AND p.prosrc <> ''"""
_PARTITIONS = """
SELECT p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relnamespace = %s::regnamespace AND c.relispartition"""
_TRIGGERS = """
SELECT c.relname, t.tgname, p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE c.relnamespace = %s::regnamespace AND NOT t.tgisinternal AND t.tgtype & 4 = 4"""
_KEYS = """
SELECT c.relname, i.indexrelid::regclass::text, pg_get_expr(i.indpred, i.indrelid),
    ARRAY(SELECT a.attname FROM unnest(i.indkey) WITH ORDINALITY AS n (number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = n.number ORDER BY n.place)::text[]
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = %s::regnamespace AND i.indisunique"""
_REFERENCES = """
SELECT c.relname, p.relname,
    CASE WHEN p.relnamespace <> c.relnamespace THEN p.relnamespace::regnamespace::text END,
    ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number ORDER BY n.place)::text[],
    ARRAY(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY AS n (number, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number ORDER BY n.place)::text[]
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
WHERE c.relnamespace = %s::regnamespace AND k.contype = 'f' AND k.conparentid = 0"""

_DEFERRABLE = """
SELECT DISTINCT format('%I.%I', n.nspname, k.conname) FROM pg_constraint k
JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.contype = 'f' AND k.condeferrable"""


@contextmanager
def filling(engine: Engine) -> Generator[PostgresBed]:
    """Open a transaction in which deferrable references may be broken until its end; keep its rows.

    References alone: what else is deferred, a trigger or a key, would refuse all rows in the end.
    """
    connection = engine.connection()
    with connection.transaction():
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        names = [str(row[0]) for row in connection.execute(_DEFERRABLE).fetchall()]
        if names:
            connection.execute(cast("LiteralString", f"SET CONSTRAINTS {', '.join(names)} DEFERRED"))
        yield PostgresBed(connection, engine.schema_name)
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


class PostgresBed:
    """The tables of one schema, and the trying of rows in them."""

    def __init__(self, connection: Any, schema_name: str) -> None:
        self.connection = connection
        self._schema = quote(schema_name)
        # parents in other schemas, by the name under which a reference knows them
        self._elsewhere: dict[str, str] = {}

    def tables(self) -> Sequence[FillTable]:
        """Give the tables, partitioned ones in place of their partitions."""
        columns, rules = self._columns_and_domain_rules()
        for table, name, text, named in (*self._rows(_RULES), *self._rows(_CALLED)):
            rules.setdefault(table, []).append(_rule(name, text, tuple(named)))
        for table, name, text in self._rows(_PARTITIONS):
            rules.setdefault(table, []).append(_rule(name, text, tuple(one.name for one in columns[table])))
        for table, name, text in self._rows(_TRIGGERS):
            own = [column.name for column in columns.get(table, ())]
            rules.setdefault(table, []).append(_rule(name, text, _named(text, own)))
        keys: dict[str, list[tuple[str, ...]]] = {}
        for table, name, where, key in self._rows(_KEYS):
            keys.setdefault(table, []).append(tuple(key))
            if where:
                own = [column.name for column in columns.get(table, ())]
                rules.setdefault(table, []).append(_rule(name, where, (*_named(where, own), *key)))
        references: dict[str, list[Reference]] = {}
        for table, parent, schema, mine, theirs in self._rows(_REFERENCES):
            if schema is not None:
                place, parent = f"{schema}.{quote(parent)}", f"{schema}.{parent}"
                self._elsewhere[parent] = place
            references.setdefault(table, []).append(Reference(tuple(mine), parent, tuple(theirs)))
        return [
            FillTable(
                name,
                tuple(_with_keys(columns.get(name, ()), keys.get(name, ()))),
                tuple(rules.get(name, ())),
                tuple(keys.get(name, ())),
                tuple(references.get(name, ())),
            )
            for (name,) in self._rows(_EMPTY)
        ]

    def count(self, table: str) -> int:
        """Give the number of rows."""
        return int(self._run(f"SELECT count(*) FROM {self._place(table)}").fetchone()[0])

    def insert(self, table: FillTable, row: Row) -> Refusal | None:
        """Try a row."""
        given = {name: value for name, value in row.items() if not isinstance(value, Omit)}
        names = ", ".join(quote(name).replace("%", "%%") for name in given)
        values = f"({names}) VALUES ({', '.join(['%s'] * len(given))})" if given else "DEFAULT VALUES"
        place = self._place(table.name).replace("%", "%%")
        return self._try(f"INSERT INTO {place} {values}", [_sent(value) for value in given.values()], table)

    def keys(self, table: str, columns: Sequence[str]) -> list[tuple[Value, ...]]:
        """Give values that are there, as texts."""
        names = ", ".join(f"{quote(name)}::text" for name in columns)
        return self._run(f"SELECT {names} FROM {self._place(table)} LIMIT {_SEEN}").fetchall()

    def loose(self, table: FillTable, reference: Reference) -> list[tuple[Value, ...]]:
        """Give the places of rows whose reference is empty or leads nowhere."""
        condition = reference.is_loose(self._place(reference.parent))
        sql = f"SELECT ctid::text FROM {self._place(table.name)} AS child WHERE {condition}"
        return self._run(f"{sql} LIMIT {_SEEN}").fetchall()

    def refer(
        self, table: FillTable, reference: Reference, handle: tuple[Value, ...], key: Sequence[Value]
    ) -> Refusal | None:
        """Try to set a reference."""
        sets = ", ".join(f"{quote(name)} = %s" for name in reference.columns)
        sql = f"UPDATE {self._place(table.name)} SET {sets} WHERE ctid = %s::tid"
        return self._try(sql, [*key, *handle], table)

    def dangling(self, table: FillTable, reference: Reference) -> int:
        """Count rows whose reference leads nowhere."""
        condition = reference.leads_nowhere(self._place(reference.parent))
        sql = f"SELECT count(*) FROM {self._place(table.name)} AS child WHERE {condition}"
        return int(self._run(sql).fetchone()[0])

    def drop(self, table: FillTable, reference: Reference) -> int:
        """Delete rows whose reference leads nowhere."""
        condition = reference.leads_nowhere(self._place(reference.parent))
        sql = f"DELETE FROM {self._place(table.name)} AS child WHERE {condition}"
        return int(self._run(sql).rowcount)

    def _columns_and_domain_rules(self) -> tuple[dict[str, list[Column]], dict[str, list[Rule]]]:
        columns: dict[str, list[Column]] = {}
        rules: dict[str, list[Rule]] = {}
        for table, name, kind, not_null, default, numbered, labels, domain in self._rows(_COLUMNS):
            column = Column(name, kind, not_null, default, tuple(labels), numbered)
            columns.setdefault(table, []).append(column)
            for named in domain:
                constraint, _, text = named.partition("\n")
                rules.setdefault(table, []).append(_rule(constraint, text, (name,)))
        return columns, rules

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._run(sql, (self._schema,)).fetchall()

    def _run(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        return self.connection.execute(cast("LiteralString", sql), params)

    def _place(self, table: str) -> str:
        return self._elsewhere.get(table) or f"{self._schema}.{quote(table)}"

    def _try(self, sql: str, values: Sequence[Any], table: FillTable) -> Refusal | None:
        # imported here, as psycopg is an extra that comes with the connection
        import psycopg

        self.connection.execute("SAVEPOINT attempt")
        try:
            self._run(sql, values)
        except (psycopg.Error, UnicodeError) as exc:
            self.connection.execute("ROLLBACK TO SAVEPOINT attempt")
            return _refusal(exc, table)
        finally:
            if not self.connection.closed:
                self.connection.execute("RELEASE SAVEPOINT attempt")
        return None


def _with_keys(columns: Sequence[Column], keys: Sequence[tuple[str, ...]]) -> Iterator[Column]:
    single = {key[0] for key in keys if len(key) == 1}
    for column in columns:
        yield Column(
            column.name,
            column.type,
            column.is_not_null,
            column.has_default,
            column.choices,
            column.is_numbered,
            column.name in single,
        )


def _tokens(text: str) -> tuple[Token, ...]:
    """Read a text by PostgreSQL's own lexical rules: ARRAY['a'] is no name in brackets there."""
    return tuple(token for one in statements(text, "postgresql") for token in one.tokens)


def _rule(name: str, text: str, columns: tuple[str, ...]) -> Rule:
    return Rule(name, text, columns, _tokens(text))


def _named(text: str, columns: Sequence[str]) -> tuple[str, ...]:
    words = {unquote(token) for token in _tokens(text) if token.kind in ("word", "identifier")}
    folded = {word.lower() for word in words}
    return tuple(name for name in columns if name in words or name in folded)


def _sent(value: Value) -> str | bytes | None:
    if value is None or isinstance(value, (str, bytes)):
        return value.replace("\x00", "") if isinstance(value, str) else value
    return str(value)


def _refusal(exc: Exception, table: FillTable) -> Refusal:
    """Read which columns an error of the server's is about."""
    diagnosis: Any = getattr(exc, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(exc).partition("\n")[0]
    names = {column.name for column in table.columns}
    told = getattr(diagnosis, "column_name", None)
    if told in names:
        return Refusal(message, (told,))
    constraint = getattr(diagnosis, "constraint_name", None)
    blamed = [name for rule in table.rules if rule.name == constraint for name in rule.columns]
    if not blamed and (detail := getattr(diagnosis, "message_detail", None)):
        found = re.match(r"Key \((.+?)\)=", detail)
        blamed = [name.strip(' "') for name in found[1].split(",")] if found else []
    if not blamed:
        # errors of a type name it, and no column
        blamed = [column.name for column in table.columns if column.type in message]
    return Refusal(message, tuple(name for name in blamed if name in names))
