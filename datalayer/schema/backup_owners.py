"""Who owns what in a PostgreSQL schema and who may do what, as the statements that say so again.

For the archive of backup_postgres. Names are without the schema, which the search path gives; rights on the
schema itself and on types are not in it.
"""

from __future__ import annotations

from datalayer.engine.connection import Engine

__all__ = ["read_owners"]

# a sequence of an identity column goes with its table
_OBJECTS = """
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS alter_kind,
CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS grant_kind,
quote_ident(c.relname) AS name, c.relowner AS owner, c.relacl AS acl, '' AS part
FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM place) AND c.relkind IN ('r', 'v', 'S')
AND NOT EXISTS (
    SELECT 1 FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i')
    AND c.relkind = 'S')
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
format('%%I(%%s)', p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner, p.proacl, ''
FROM pg_proc p WHERE p.pronamespace = (SELECT oid FROM place) AND p.prokind IN ('f', 'p')
AND NOT EXISTS (
    SELECT 1 FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT NULL, 'TABLE', quote_ident(c.relname), c.relowner, a.attacl, format(' (%%I)', a.attname)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = (SELECT oid FROM place) AND c.relkind IN ('r', 'v') AND a.attacl IS NOT NULL
AND NOT a.attisdropped"""

_STATEMENTS = f"""
WITH place AS (SELECT oid FROM pg_namespace WHERE nspname = %s),
object AS ({_OBJECTS}),
told AS (
    SELECT o.*, e.privilege_type, e.is_grantable,
    CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END AS who
    FROM object o CROSS JOIN LATERAL aclexplode(o.acl) e)
SELECT 1 AS step, format('ALTER %%s %%s OWNER TO %%I', alter_kind, name, pg_get_userbyid(owner)) AS statement
FROM object WHERE alter_kind IS NOT NULL
UNION ALL
SELECT 2, format('REVOKE ALL ON %%s %%s FROM PUBLIC, %%I', grant_kind, name, pg_get_userbyid(owner))
FROM object WHERE acl IS NOT NULL AND part = ''
UNION ALL
SELECT 3, format('GRANT %%s%%s ON %%s %%s TO %%s', privilege_type, part, grant_kind, name, who)
    || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
FROM told ORDER BY 1, 2"""


def read_owners(engine: Engine) -> list[str]:
    """Read the statements for the engine's schema: owners first, then rights where they are not the usual."""
    return [str(text) for _, text in engine.fetch_all(_STATEMENTS, (engine.schema_name,))]
