"""What hangs on a column, key, view or table that changes and can be neither taken off nor put back.

Policies, rules, functions in SQL, publications, and whatever other schemas have: named before anything is
changed, because PostgreSQL would refuse the change only at its end. Reads the catalog only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datalayer.schema.pgchange.change import Change
from datalayer.schema.pgchange.draft import views_on
from datalayer.schema.pgchange.projection import Projection
from datalayer.schema.pgchange.session import Session

__all__ = ["Dependent", "dependents"]

# the table or view it hangs on, as it is called now, the column if it is one, and what it is
Dependent = tuple[str, str | None, str]

# views of this schema are made again, with their rules; what a table has on itself goes with it
_ON_COLUMNS = """
WITH place AS (SELECT c.oid, c.relname, a.attname, a.attnum, p.is_stored_anew, c.relnamespace
    FROM unnest(%s::text[], %s::text[], %s::bool[]) p (relation, part, is_stored_anew)
    JOIN pg_class c ON c.relname = p.relation AND c.relnamespace = (
        SELECT oid FROM pg_namespace WHERE nspname = %s)
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = p.part)
SELECT DISTINCT p.relname, p.attname, CASE
WHEN v.relkind = 'm' THEN 'the materialized view ' || v.oid::regclass
WHEN v.relkind = 'v' THEN 'the view ' || v.oid::regclass
ELSE 'the ' || pg_describe_object(d.classid, d.objid, d.objsubid) END
FROM place p JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid
AND (p.attnum IS NULL OR d.refobjsubid IN (0, p.attnum))
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class v ON v.oid = r.ev_class
LEFT JOIN pg_policy o ON d.classid = 'pg_policy'::regclass AND o.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
WHERE CASE d.classid
WHEN 'pg_rewrite'::regclass THEN v.oid <> ALL (SELECT oid FROM place WHERE attname IS NULL)
    AND (v.relkind <> 'v' OR v.relnamespace <> p.relnamespace) AND (d.refobjsubid > 0 OR p.attnum IS NULL)
WHEN 'pg_policy'::regclass THEN (d.refobjsubid > 0 OR d.deptype = 'n')
    AND o.polrelid NOT IN (SELECT oid FROM place WHERE attname IS NULL)
WHEN 'pg_publication_rel'::regclass THEN d.refobjsubid > 0 AND p.attnum IS NOT NULL
WHEN 'pg_proc'::regclass THEN d.refobjsubid > 0 OR p.attnum IS NULL
WHEN 'pg_constraint'::regclass THEN k.contype IN ('x', 'f') AND p.is_stored_anew AND d.refobjsubid > 0
    AND k.conrelid NOT IN (SELECT oid FROM place WHERE attname IS NULL)
    AND (k.contype = 'x' OR (SELECT count(DISTINCT relnamespace) > 1 FROM pg_class
        WHERE oid IN (k.conrelid, k.confrelid)))
ELSE false END ORDER BY 1, 2, 3"""
_ON_KEYS = """
SELECT c.relname, NULL, 'the ' || pg_describe_object('pg_constraint'::regclass, f.oid, 0)
FROM unnest(%s::text[], %s::text[]) p (relation, part) JOIN pg_class c ON c.relname = p.relation
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %s
JOIN pg_constraint k ON k.conrelid = c.oid AND k.conname = p.part
JOIN pg_constraint f ON f.contype = 'f' AND f.confrelid = c.oid AND f.conindid = k.conindid
AND f.connamespace <> k.connamespace ORDER BY 1, 3"""
_ON_SEQUENCES = """
SELECT DISTINCT c.relname, a.attname, 'the ' || pg_describe_object(d.classid, d.objid, d.objsubid)
FROM unnest(%s::text[], %s::text[]) p (relation, part) JOIN pg_class c ON c.relname = p.relation
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %s
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = p.part
JOIN pg_depend o ON o.refclassid = 'pg_class'::regclass AND o.refobjid = c.oid AND o.refobjsubid = a.attnum
AND o.classid = 'pg_class'::regclass AND o.deptype = 'a'
JOIN pg_class s ON s.oid = o.objid AND s.relkind = 'S'
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid AND d.deptype = 'n'
JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
JOIN pg_class t ON t.oid = f.adrelid AND t.relnamespace <> c.relnamespace ORDER BY 1, 2, 3"""


def dependents(session: Session, projection: Projection, changes: Sequence[Change]) -> Iterator[Dependent]:
    """Find what hangs on what the changes replace or take away, by the names that things have now."""
    columns = {(c.table, c.name): _is_stored_anew(projection, c) for c in changes if _moves(c)}
    gone = {c.name for c in changes if c.kind == "view" and c.before is not None}
    views = views_on(projection.found.view_texts, set(columns), gone)
    dropped = {c.name for c in changes if (c.kind, c.verb) == ("table", "drop")}
    renames = projection.renames
    asked = [
        (renames.table_before(table), renames.column_before(table, name), is_anew)
        for (table, name), is_anew in columns.items()
    ]
    whole = sorted({view.name for view in views if not view.is_materialized} | gone | dropped)
    rows: list[tuple[str, str | None, bool]] = [*asked, *((name, None, True) for name in whole)]
    if rows:
        yield from _told(session, _ON_COLUMNS, [list(each) for each in zip(*rows)])
    keys = [
        (renames.table_before(c.table), c.before.name)
        for c in changes
        if c.kind == "constraint" and c.verb in ("drop", "alter") and c.before.kind in "pu"
    ]
    if keys:
        yield from _told(session, _ON_KEYS, [list(each) for each in zip(*keys)])
    numbered = [
        (renames.table_before(c.table), renames.column_before(c.table, c.name))
        for c in changes
        if c.before is not None and c.kind in ("identity", "type", "column")
    ]
    if numbered:
        yield from _told(session, _ON_SEQUENCES, [list(each) for each in zip(*numbered)])


def _moves(change: Change) -> bool:
    return (
        change.kind == "type"
        or (change.kind, change.verb) == ("column", "drop")
        or (change.kind == "generated" and change.after.is_generated)
    )


def _is_stored_anew(projection: Projection, change: Change) -> bool:
    return change.kind != "type" or not projection.conversion(change.before, change.after).is_in_place


def _told(session: Session, sql: str, arrays: Sequence[Sequence[object]]) -> Iterator[Dependent]:
    for relation, column, what in session.fetch_all(sql, (*arrays, session.schema_name)):
        yield str(relation), column, str(what)
