"""The wanted schema as PostgreSQL itself prints it: made in a schema of its own, read, and undone.

Nothing that exists is locked, and nothing is left. Texts of conditions, defaults and queries are then equal
to those of a live schema wherever they mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from datalayer.errors import DatabaseUnavailable
from datalayer.schema import catalog
from datalayer.schema.catalog import Catalog
from datalayer.schema.pgchange.names import ident
from datalayer.schema.pgchange.session import Session
from datalayer.schema.plan import Step
from datalayer.schema.postgres import Derived
from datalayer.schema.scratch import new_name, undone

__all__ = ["Wanted", "read_wanted"]

_FUNCTION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A schema to reach: its catalog, the statements of its functions and views, its volatile defaults.

    `volatile` holds (table, column): such a default is computed anew for each row.
    """

    catalog: Catalog
    functions: Mapping[str, str]
    views: tuple[tuple[str, str], ...]
    volatile: frozenset[tuple[str, str]]


def read_wanted(session: Session, derived: Derived) -> Wanted:
    """Make the derived schema under a name of its own, read it and roll back.

    A user who may not create schemas in this database gets it among the temporary tables. Raises
    DatabaseUnavailable for one who may make neither.
    """
    live_name, may_create_schema = session.schema_name, _may_create_schema(session)
    try:
        with undone(session):
            # also where only reading is meant: nothing of this is kept
            session.execute("SET TRANSACTION READ WRITE")
            session.schema_name = _scratch(session, may_create_schema=may_create_schema)
            for step in derived.steps:
                session.execute(step.sql if may_create_schema else _among_temporary(step))
            found = catalog.read(session)
            volatile = _volatile(session, found)
    finally:
        session.schema_name = live_name
    return Wanted(
        found,
        {
            step.name: step.sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
            for step in derived.rest
            if step.kind == "function"
        },
        tuple((step.name, step.sql) for step in derived.rest if step.kind == "view"),
        volatile,
    )


def _may_create_schema(session: Session) -> bool:
    sql = (
        "SELECT has_database_privilege(current_database(), 'CREATE'),"
        " has_database_privilege(current_database(), 'TEMP'), current_database(), current_user"
    )
    may_create, may_have_temporary, database, user = session.fetch_all(sql)[0]
    if not (may_create or may_have_temporary):
        raise DatabaseUnavailable(
            f"{session.display_url}: no permission to make the wanted schema beside the live one",
            why="it is made to be compared with the live one, and rolled back",
            hint=f"GRANT CREATE ON DATABASE {ident(database)} TO {ident(user)}",
        )
    return bool(may_create)


def _scratch(session: Session, *, may_create_schema: bool) -> str:
    """Make a place for the wanted schema, put it on the search_path and give its name."""
    if may_create_schema:
        name = new_name()
        session.execute(f"CREATE SCHEMA {name}")
        session.execute(f"SET LOCAL search_path = {name}")
        return name
    session.execute("SET LOCAL search_path = pg_temp")
    # the schema itself is there as soon as something is in it
    session.execute("CREATE TABLE datalayer_scratch (id int)")
    session.execute("DROP TABLE datalayer_scratch")
    return str(session.fetch_all("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")[0][0])


def _among_temporary(step: Step) -> str:
    """Call a trigger's function by its full name: among temporary things it is not found otherwise."""
    if step.kind != "trigger":
        return step.sql
    head, words, function = step.sql.rpartition(" EXECUTE FUNCTION ")
    return f"{head}{words}pg_temp.{function}"


def _volatile(session: Session, found: Catalog) -> frozenset[tuple[str, str]]:
    """Find the defaults that call a volatile function of any signature."""
    defaults = {
        (table.name, column.name): set(_FUNCTION.findall(column.default))
        for table in found.tables.values()
        for column in table.columns.values()
        if column.default is not None and not column.is_generated
    }
    names = sorted({name for called in defaults.values() for name in called})
    rows = session.fetch_all(
        "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' AND proname = ANY(%s)", (names,)
    )
    unsteady = {str(row[0]) for row in rows}
    return frozenset(place for place, called in defaults.items() if called & unsteady)
