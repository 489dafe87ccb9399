"""What objects have that no schema file speaks of: comments, grants, owners, settings of their own.

A column, view, index, trigger or rule that is dropped and made again under its name would lose them. They are
read at both ends of the transaction, and what is missing then is given again. Knows no plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from datalayer.schema.pgchange.session import Session

__all__ = ["Keepsakes", "makes_again", "read_keepsakes"]


@dataclass(frozen=True, slots=True)
class _Fact:
    """A statement that gives something to `place`, if all of `needs` are there; `undo` takes it away."""

    order: int
    place: str
    needs: frozenset[str]
    statement: str
    undo: str | None


@dataclass(frozen=True, slots=True)
class Keepsakes:
    """Facts about the objects of a schema, and which objects there are."""

    facts: tuple[_Fact, ...]
    objects: frozenset[str]

    def missing_from(self, now: Keepsakes) -> Iterator[str]:
        """Give the statements that make up for what was lost on objects which stand there again.

        First those that take away rights which only the new object has, by default privileges.
        """
        have, had = ({fact.statement for fact in each.facts} for each in (now, self))
        for fact in now.facts:
            if fact.undo is not None and fact.statement not in had and fact.place in self.objects:
                yield fact.undo
        for fact in self.facts:
            if fact.statement not in have and fact.needs <= now.objects:
                yield fact.statement


def makes_again(statements: Sequence[str]) -> bool:
    """Whether statements take something off that may come back in the same transaction."""
    return any(" DROP " in f" {each}" or each.startswith("CREATE OR REPLACE TRIGGER") for each in statements)


def read_keepsakes(session: Session, tables: Collection[str]) -> Keepsakes:
    """Read the facts of tables with their indexes, and of all views and sequences; two queries, no lock."""
    parameters = (session.schema_name, list(tables)) * 2
    facts = tuple(
        _Fact(order, needs[0], frozenset(needs), statement, undo)
        for order, needs, statement, undo in session.fetch_all(_FACTS, parameters)
    )
    return Keepsakes(facts, frozenset(str(row[0]) for row in session.fetch_all(_OBJECTS, parameters)))


# a right that a user has over what he does not own; the owner's come with the thing
_GRANT = """format('GRANT %%s%%s ON %%s TO %%s%%s', e.privilege_type, {part}, {what},
CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END,
CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END),
format('REVOKE %%s%%s ON %%s FROM %%s', e.privilege_type, {part}, {what},
CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END)"""
_THINGS = """
WITH thing AS (
    SELECT c.oid AS id, c.relkind, c.relname, quote_ident(c.relname) AS name, c.relowner,
    c.relacl, c.reloptions
    FROM pg_class c WHERE c.oid = ANY(ARRAY(
        SELECT r.oid FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = %s
        AND (r.relkind IN ('v', 'm', 'S') OR (r.relkind = 'r' AND r.relname = ANY(%s))) UNION ALL
        SELECT x.indexrelid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN pg_index x ON x.indrelid = t.oid
        WHERE n.nspname = %s AND t.relkind = 'r' AND t.relname = ANY(%s)))),
part AS (
    SELECT t.*, a.attnum, quote_ident(a.attname) AS col, t.name || '.' || quote_ident(a.attname) AS place,
    a.attacl, a.attstattarget, a.attoptions, a.attcompression, a.attstorage, a.attidentity, y.typstorage
    FROM thing t JOIN pg_attribute a ON a.attrelid = t.id AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type y ON y.oid = a.atttypid)"""
_FACTS = f"""{_THINGS}
SELECT 1, ARRAY[name], format('ALTER VIEW %%s OWNER TO %%I', name, pg_get_userbyid(relowner)), NULL
FROM thing WHERE relkind = 'v' UNION ALL
SELECT 2, ARRAY[name], format('ALTER VIEW %%s SET (%%s)', name, array_to_string(reloptions, ', ')), NULL
FROM thing WHERE relkind = 'v' AND reloptions IS NOT NULL UNION ALL
SELECT 2, ARRAY[place], format('ALTER VIEW %%s ALTER %%s SET DEFAULT %%s', name, col,
pg_get_expr(d.adbin, d.adrelid)), NULL
FROM part JOIN pg_attrdef d ON d.adrelid = id AND d.adnum = attnum WHERE relkind = 'v' UNION ALL
SELECT 2, ARRAY[name], rtrim(pg_get_ruledef(r.oid), ';'), NULL
FROM thing t JOIN pg_rewrite r ON r.ev_class = t.id WHERE r.rulename <> '_RETURN' UNION ALL
SELECT 3, ARRAY[name], {_GRANT.format(part="''", what="kind || name")}
FROM (SELECT t.*, CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END AS kind FROM thing t) t
CROSS JOIN LATERAL aclexplode(t.relacl) e WHERE relkind IN ('v', 'S') AND e.grantee <> relowner UNION ALL
SELECT 3, ARRAY[place], {_GRANT.format(part="' (' || col || ')'", what="name")}
FROM part CROSS JOIN LATERAL aclexplode(attacl) e WHERE relkind IN ('r', 'v') UNION ALL
SELECT 4, ARRAY[place], CASE relkind
WHEN 'i' THEN format('ALTER INDEX %%s ALTER %%s SET STATISTICS %%s', name, attnum, attstattarget)
ELSE format('ALTER TABLE %%s ALTER %%s SET STATISTICS %%s', name, col, attstattarget) END, NULL
FROM part WHERE attstattarget >= 0 AND relkind IN ('r', 'i') UNION ALL
SELECT 4, ARRAY[place],
format('ALTER TABLE %%s ALTER %%s SET (%%s)', name, col, array_to_string(attoptions, ', ')), NULL
FROM part WHERE attoptions IS NOT NULL AND relkind = 'r' UNION ALL
SELECT 4, ARRAY[place, 'stored ' || place], format('ALTER TABLE %%s ALTER %%s SET STORAGE %%s', name,
col, CASE attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END),
NULL
FROM part WHERE attstorage <> typstorage AND relkind = 'r' UNION ALL
SELECT 4, ARRAY[place, 'stored ' || place], format('ALTER TABLE %%s ALTER %%s SET COMPRESSION %%s', name,
col, CASE attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END), NULL
FROM part WHERE attcompression IN ('l', 'p') AND relkind = 'r' UNION ALL
SELECT 4, ARRAY[name], format('ALTER INDEX %%s SET (%%s)', name, array_to_string(reloptions, ', ')), NULL
FROM thing WHERE relkind = 'i' AND reloptions IS NOT NULL UNION ALL
SELECT 5, ARRAY[format('trigger %%s.%%I', name, g.tgname)], format('ALTER TABLE %%s %%s TRIGGER %%I', name,
CASE g.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'DISABLE' END, g.tgname),
NULL FROM thing t JOIN pg_trigger g ON g.tgrelid = t.id
WHERE NOT g.tgisinternal AND g.tgenabled <> 'O' UNION ALL
SELECT 6, ARRAY[i.name, t.name], format('ALTER TABLE %%s CLUSTER ON %%s', t.name, i.name), NULL
FROM pg_index x JOIN thing i ON i.id = x.indexrelid JOIN thing t ON t.id = x.indrelid
WHERE x.indisclustered UNION ALL
SELECT 6, ARRAY[i.name, t.name],
format('ALTER TABLE %%s REPLICA IDENTITY USING INDEX %%s', t.name, i.name), NULL
FROM pg_index x JOIN thing i ON i.id = x.indexrelid JOIN thing t ON t.id = x.indrelid
WHERE x.indisreplident UNION ALL
SELECT 7, ARRAY(SELECT p.place FROM pg_depend d JOIN part p ON p.id = d.refobjid AND p.attnum = d.refobjsubid
WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid), pg_get_statisticsobjdef(s.oid), NULL
FROM pg_statistic_ext s JOIN thing t ON t.id = s.stxrelid UNION ALL
SELECT 8, ARRAY[o.place], format('COMMENT ON %%s IS %%L', o.said, o.description), NULL FROM (
    SELECT name AS place, description, CASE relkind WHEN 'v' THEN 'VIEW ' WHEN 'i' THEN 'INDEX '
    WHEN 'S' THEN 'SEQUENCE ' WHEN 'm' THEN 'MATERIALIZED VIEW ' ELSE 'TABLE ' END || name AS said
    FROM thing JOIN pg_description d ON d.objoid = id AND d.classoid = 'pg_class'::regclass
    AND d.objsubid = 0 UNION ALL
    SELECT place, description, 'COLUMN ' || place FROM part JOIN pg_description d
    ON d.objoid = id AND d.classoid = 'pg_class'::regclass AND d.objsubid = attnum
    WHERE relkind IN ('r', 'v', 'm') UNION ALL
    SELECT format('rule %%s.%%I', name, c.conname), description,
    format('CONSTRAINT %%I ON %%s', c.conname, name)
    FROM thing t JOIN pg_constraint c ON c.conrelid = t.id JOIN pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_constraint'::regclass UNION ALL
    SELECT format('trigger %%s.%%I', name, g.tgname), description,
    format('TRIGGER %%I ON %%s', g.tgname, name)
    FROM thing t JOIN pg_trigger g ON g.tgrelid = t.id JOIN pg_description d
    ON d.objoid = g.oid AND d.classoid = 'pg_trigger'::regclass UNION ALL
    SELECT name, description, format('RULE %%I ON %%s', r.rulename, name)
    FROM thing t JOIN pg_rewrite r ON r.ev_class = t.id JOIN pg_description d
    ON d.objoid = r.oid AND d.classoid = 'pg_rewrite'::regclass
) o ORDER BY 1"""
_OBJECTS = f"""{_THINGS}
SELECT name FROM thing UNION ALL SELECT place FROM part UNION ALL
SELECT 'stored ' || place FROM part WHERE typstorage <> 'p' UNION ALL
SELECT format('rule %%s.%%I', name, c.conname)
FROM thing t JOIN pg_constraint c ON c.conrelid = t.id UNION ALL
SELECT format('trigger %%s.%%I', name, g.tgname) FROM thing t JOIN pg_trigger g ON g.tgrelid = t.id
WHERE NOT g.tgisinternal"""
