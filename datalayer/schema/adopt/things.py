"""Every object of one PostgreSQL schema as a text of the server's own, to be compared with another schema's.

Reads pg_catalog only (https://www.postgresql.org/docs/current/catalogs.html); leaves out what extensions own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from datalayer.schema.difference import Difference
from datalayer.schema.tokens import quote

__all__ = ["Key", "Thing", "compare_things", "read_things"]

Key = tuple[str, str]
"""Kind and name; the name of a column, constraint or trigger has its table before it."""


class Thing(NamedTuple):
    """An object: the table that it belongs to, if any, and what the server says of it."""

    table: str
    text: str


# NOT NULL is told of the column: PostgreSQL 18 keeps it as a constraint too
_THINGS = """
WITH space AS (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s),
owned AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
relation AS (
    SELECT c.* FROM pg_class c JOIN space ON space.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT 1 FROM owned o WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid))
SELECT 'table', relname::text, '',
concat_ws(' ', relkind, relpersistence, relrowsecurity, pg_get_partkeydef(oid))
FROM relation WHERE relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'view', relname::text, '', concat_ws(' ', relkind, pg_get_viewdef(oid))
FROM relation WHERE relkind IN ('v', 'm')
UNION ALL
SELECT 'sequence', c.relname::text,
coalesce((
    SELECT t.relname::text FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
    AND t.relkind IN ('r', 'p')
    LIMIT 1), ''),
concat_ws(' ', format_type(s.seqtypid, NULL), s.seqincrement, s.seqstart, s.seqcycle)
FROM relation c JOIN pg_sequence s ON s.seqrelid = c.oid
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, c.relname::text,
concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
    'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity, ''), nullif(a.attgenerated, ''),
    l.collname)
FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
WHERE c.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'constraint', c.relname || '.' || k.conname, c.relname::text, pg_get_constraintdef(k.oid)
FROM relation c JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.contype NOT IN ('n', 't')
UNION ALL
SELECT 'index', i.relname::text, c.relname::text,
concat_ws(' ', pg_get_indexdef(i.oid), CASE WHEN NOT x.indisvalid THEN 'INVALID' END)
FROM relation c JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'trigger', c.relname || '.' || t.tgname, c.relname::text,
concat_ws(' ', pg_get_triggerdef(t.oid), 'enabled: ' || nullif(t.tgenabled, 'O')::text)
FROM relation c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy', c.relname || '.' || p.polname, c.relname::text,
concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid))
FROM relation c JOIN pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', '',
pg_get_functiondef(p.oid)
FROM pg_proc p JOIN space ON space.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p')
AND NOT EXISTS (SELECT 1 FROM owned o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid)
UNION ALL
SELECT 'type', t.typname::text, '',
concat_ws(' ', t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod),
    (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
FROM pg_type t JOIN space ON space.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r')
AND NOT EXISTS (SELECT 1 FROM owned o WHERE o.classid = 'pg_type'::regclass AND o.objid = t.oid)
ORDER BY 1, 2"""


def read_things(connection: Any, schema: str) -> Mapping[Key, Thing]:
    """Read all objects of a schema in one query, within the connection's transaction.

    Names of the schema itself are taken out of the texts, so that those of two schemas can be compared.
    """
    # what is in the search path is told without its schema
    connection.execute("SELECT set_config('search_path', %s, true)", (quote(schema),))
    found = connection.execute(_THINGS, {"schema": schema}).fetchall()
    name = f"{re.escape(quote(schema))}|{re.escape(schema)}"
    # what stands in quotes is somebody's text, the body of a function for one
    prefix = re.compile(rf"""\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|(?<![\w"$])(?:{name})\.""", re.DOTALL)

    def without_schema(text: str) -> str:
        return prefix.sub(lambda found: found[0] if found[0][0] in "$'" else "", text)

    return {(kind, key): Thing(table, without_schema(text)) for kind, key, table, text in found}


def compare_things(expected: Mapping[Key, Thing], found: Mapping[Key, Thing]) -> Iterator[Difference]:
    """Compare two schemas; what belongs to a table that is itself missing or extra is not listed."""
    for key, thing in expected.items():
        other, table = found.get(key), thing.table or key[1]
        if other is None:
            if not thing.table or _has_home(found, thing):
                yield Difference("missing", key[0], key[1], table)
        elif other.text != thing.text:
            yield Difference("changed", key[0], key[1], table, f"{other.text}, expected {thing.text}"[:400])
    for key, thing in found.items():
        if key not in expected and (not thing.table or _has_home(expected, thing) or key[0] == "table"):
            yield Difference("extra", key[0], key[1], thing.table or key[1])


def _has_home(things: Mapping[Key, Thing], thing: Thing) -> bool:
    return ("table", thing.table) in things or ("view", thing.table) in things
