"""What stands in the way of a change: rows that a new rule refuses, values that would be lost, named by keys.

Looks at live rows in the form that they will have. Reads only, and each question by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datalayer.errors import DatabaseBusy, DatabaseUnavailable, DataLayerError
from datalayer.schema.catalog import CatalogColumn, CatalogConstraint, CatalogIndex, CatalogTable
from datalayer.schema.change.consent import Consent
from datalayer.schema.pgchange.change import Change, names_in_the_way, retyped_columns
from datalayer.schema.pgchange.conversion import Conversion
from datalayer.schema.pgchange.dependents import dependents
from datalayer.schema.pgchange.names import mentions
from datalayer.schema.pgchange.projection import Projection
from datalayer.schema.pgchange.session import Session
from datalayer.schema.tokens import quote

__all__ = ["Finding", "obstacles"]

_MOST_ROWS = 10
_HAS_INPUT_CHECK = 160_000
# pg_input_is_valid() of older servers, for one type
_INPUT_CHECK = """CREATE OR REPLACE FUNCTION pg_temp.pg_input_is_valid(text, text) RETURNS boolean
LANGUAGE plpgsql AS $body$ BEGIN PERFORM $1::{type}; RETURN true;
EXCEPTION WHEN OTHERS THEN RETURN false; END $body$"""

Finding = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Look:
    """Where to look, and at which changes."""

    session: Session
    projection: Projection
    changes: Sequence[Change]
    consent: Consent

    def find(
        self, id_: str, place: tuple[str, str], message: str, sql: str, keys: Sequence[str]
    ) -> Iterator[Finding]:
        """Run a query of keys with the number of all rows at its end, and tell what it found."""
        table, name = place
        try:
            rows = self.session.fetch_all(f"{sql} LIMIT {_MOST_ROWS}")
        except (DatabaseBusy, DatabaseUnavailable):
            raise
        except DataLayerError as exc:
            reason = str(exc.__cause__ or exc).partition("\n")[0]
            yield _finding(id_, table, name, 1, f"{message}: the rows cannot be read so: {reason}", [])
            return
        if rows:
            told = [dict(zip(keys, row)) for row in rows]
            yield _finding(id_, table, name, int(rows[0][-1]), message, told)


def _finding(
    id_: str, table: str, name: str, count: int, message: str, rows: list[dict[str, object]]
) -> Finding:
    return {
        "id": id_,
        "severity": "error",
        "table": table,
        "object": name,
        "count": count,
        "message": message,
        "rows": rows,
    }


def obstacles(
    session: Session,
    projection: Projection,
    changes: Sequence[Change],
    consent: Consent,
    *,
    with_rows: bool = True,
) -> list[Finding]:
    """Find everything that the changes would break or lose and that `consent` does not allow.

    Rules are tried only where every value can be converted. One or two scans for each changed rule of a
    table with rows; `with_rows=False` reads none.
    """
    look = _Look(session, projection, changes, consent)
    found = list(_unchangeable(look))
    if not with_rows:
        return found
    found += [*_lost_tables(look), *_lost_columns(look), *_lost_values(look)]
    if not any(finding["id"] in ("unchangeable", "changed-value") for finding in found):
        found += [*_nulls(look), *_broken_rules(look)]
    return found


def _unchangeable(look: _Look) -> Iterator[Finding]:
    """Partitions, heirs and foreign tables are somebody's design: nothing here knows how to change them."""
    told: set[str] = set()
    for change in look.changes:
        table = look.projection.found.tables.get(change.table)
        if table is not None and not table.is_plain and table.name not in told:
            told.add(table.name)
            message = f"{table.name} is partitioned, inherits or is foreign: change it by hand"
            yield _finding("unchangeable", table.name, table.name, 1, message, [])
    yield from _taken_names(look)
    yield from _read_by_views(look)
    for table, column, what in dependents(look.session, look.projection, look.changes):
        message = f"{what} depends on {column or table}, which is changed or goes"
        yield _finding("unchangeable", table, what, 1, message, [])
    gone = {change.name for change in look.changes if (change.kind, change.verb) == ("view", "drop")}
    taken = look.projection.found.views - gone
    for change in look.changes:
        if change.kind == "table" and change.verb == "add" and change.name in taken:
            message = f"a view named {change.name} stands where a table is wanted"
            yield _finding("unchangeable", change.name, change.name, 1, message, [])


def _taken_names(look: _Look) -> Iterator[Finding]:
    """Find names that other programs' tables and views have; theirs are not taken away."""
    found, wanted = look.projection.found, look.projection.wanted
    dropped = {change.name for change in look.changes if (change.kind, change.verb) == ("table", "drop")}
    for table, name in names_in_the_way(found, wanted):
        if table not in wanted.tables and table not in dropped:
            message = f"the index {name} of {table}, which is another program's, has a name that is wanted"
            yield _finding("unchangeable", table, name, 1, message, [])
    for table in wanted.tables.values():
        for name in table.indexes:
            if name in found.tables or name in found.views:
                message = f"an index is to be called {name}, and a table or view is"
                yield _finding("unchangeable", table.name, name, 1, message, [])


def _read_by_views(look: _Look) -> Iterator[Finding]:
    """Find views that stay and read a column that goes."""
    replaced = {change.name for change in look.changes if change.kind == "view"}
    for change in look.changes:
        if (change.verb, change.kind) != ("drop", "column"):
            continue
        for view in look.projection.found.view_texts.values():
            if view.name not in replaced and (change.table, change.name) in view.reads:
                message = f"the view {view.name} reads {change.name}, which the wanted schema lacks"
                yield _finding("unchangeable", change.table, view.name, 1, message, [])


# -- what would be lost ---------------------------------------------------------------------------


def _lost_tables(look: _Look) -> Iterator[Finding]:
    for change in look.changes:
        if (change.verb, change.kind) != ("drop", "table") or look.consent.may_drop_table(change.name):
            continue
        rows = int(look.session.fetch_all(f"SELECT count(*) FROM {quote(change.name)}")[0][0])
        if rows:
            count = "1 row" if rows == 1 else f"{rows} rows"
            message = f"the table has {count} and is not in the wanted schema"
            yield _finding("data-loss", change.name, change.name, rows, message, [])


def _lost_columns(look: _Look) -> Iterator[Finding]:
    projection = look.projection
    for change in look.changes:
        column = change.before
        if (change.verb, change.kind) != ("drop", "column") or column.is_generated:
            continue
        table, name = projection.renames.table_before(change.table), change.name
        if look.consent.may_drop_column(table, name):
            continue
        live = f"o.{quote(name)}"
        source = projection.source(change.table, f"{live} IS NOT NULL")
        keys = projection.keys(change.table)
        chosen = ", ".join([*(expression for _, expression in keys), live])
        sql = f"SELECT {chosen}, count(*) OVER () FROM {source}"
        message = f"column {name} has values and is not in the wanted schema"
        for finding in look.find("data-loss", (table, name), message, sql, [*(key for key, _ in keys), name]):
            values = "1 value" if finding["count"] == 1 else f"{finding['count']} values"
            finding["message"] = f"column {name} has {values} and is not in the wanted schema"
            yield finding


def _lost_values(look: _Look) -> Iterator[Finding]:
    for change in look.changes:
        if change.kind == "type" and change.verb == "alter":
            yield from _changed_values(look, change)
        elif change.kind == "generated" and change.after.is_generated and not change.before.is_generated:
            yield from _recomputed(look, change)


def _changed_values(look: _Look, change: Change) -> Iterator[Finding]:
    projection = look.projection
    conversion = projection.conversion(change.before, change.after)
    name = projection.renames.column_before(change.table, change.name)
    live = f"o.{quote(name)}"
    if conversion.is_in_place:
        return
    unreadable = _unreadable(look.session, conversion, live)
    value, loses = conversion.value(live), conversion.loses(live)
    keys = projection.keys(change.table)
    names = [*(key for key, _ in keys), name]
    chosen = ", ".join([*(expression for _, expression in keys), live])
    table = projection.renames.table_before(change.table)
    if unreadable is not None:
        source = projection.source(change.table, f"{unreadable} AND {live} IS NOT NULL")
        sql = f"SELECT {chosen}, count(*) OVER () FROM {source}"
        message = f"{name} cannot become {change.after.type}"
        yield from look.find("changed-value", (table, name), message, sql, names)
    if loses is None or look.consent.allow_data_loss:
        # every value is tried nevertheless: what cannot be converted must be known before anything is changed
        loses = f"{value} IS NULL"
    elif value not in loses:
        loses = f"{value} IS NULL OR {loses}"
    passed_over = f"{live} IS NULL" + (f" OR {unreadable}" if unreadable else "")
    condition = f"CASE WHEN {passed_over} THEN false ELSE {loses} END"
    sql = f"SELECT {chosen}, count(*) OVER () FROM {projection.source(change.table, condition)}"
    message = f"{name} would not be the same as {change.after.type}"
    yield from look.find("changed-value", (table, name), message, sql, names)


def _unreadable(session: Session, conversion: Conversion, sql: str) -> str | None:
    """Give the condition of values that the new type does not take, by the means that the server has."""
    condition = conversion.unreadable(sql)
    if condition is None or session.server_version >= _HAS_INPUT_CHECK:
        return condition
    try:
        # gone with the connection
        session.execute(_INPUT_CHECK.format(type=conversion.after.type))
    except (DatabaseBusy, DatabaseUnavailable):
        # no temporary things here: the first such value ends the search, and is told
        return None
    return condition.replace("pg_input_is_valid(", "pg_temp.pg_input_is_valid(")


def _recomputed(look: _Look, change: Change) -> Iterator[Finding]:
    projection, name = look.projection, change.name
    table = projection.renames.table_before(change.table)
    if look.consent.may_drop_column(table, name):
        return
    live = f"o.{projection.live(change.table, name)}"
    keys = [*(key for key, _ in projection.keys(change.table)), name]
    marks = ", ".join(f'n."~key {place}"' for place in range(len(keys) - 1))
    inner = projection.rows(change.table)
    same = " AND ".join(
        f'n."~key {place}" = {expression}'
        for place, (_, expression) in enumerate(projection.keys(change.table))
    )
    sql = (
        f"SELECT {marks}, {live}, count(*) OVER () FROM {inner} AS n JOIN {projection.source(change.table)}"
        f" ON {same} WHERE {live} IS NOT NULL AND {live}::text IS DISTINCT FROM n.{quote(name)}::text"
    )
    message = f"{name} has values that differ from what it is to be computed as"
    yield from look.find("changed-value", (table, name), message, sql, keys)


# -- rules that rows would break ------------------------------------------------------------------


def _nulls(look: _Look) -> Iterator[Finding]:
    found = look.projection.found.tables
    for change in look.changes:
        is_added = (change.verb, change.kind) == ("add", "column") and change.table in found
        if not is_added and change.kind not in ("not null", "type", "generated"):
            continue
        column: CatalogColumn = change.after
        if not column.is_not_null or column.identity:
            continue
        yield from _violating(
            look, "not-null", change.table, change.name, f"t.{quote(change.name)} IS NULL", [change.name],
            f"{change.name} is NULL and has no default",
        )  # fmt: skip


def _violating(
    look: _Look, id_: str, table: str, name: str, condition: str, shown: Sequence[str], message: str
) -> Iterator[Finding]:
    keys = look.projection.keys(table)
    marks = [f't."~key {place}"' for place in range(len(keys))]
    names = [key for key, _ in keys]
    for column in shown:
        if column not in names:
            names.append(column)
            marks.append(f"t.{quote(column)}")
    rows = look.projection.rows(table)
    sql = f"SELECT {', '.join(marks)}, count(*) OVER () FROM {rows} AS t WHERE {condition}"
    yield from look.find(id_, (table, name), message, sql, names)


def _broken_rules(look: _Look) -> Iterator[Finding]:
    projection = look.projection
    for name, after in projection.wanted.tables.items():
        before = projection.found.tables.get(name)
        if before is None:
            continue
        mine = [change for change in look.changes if change.table == name]
        moved = set(retyped_columns(before, after)) | {
            change.name for change in mine if change.kind in ("generated", "not null")
        }
        new = {
            change.after.name
            for change in mine
            if change.kind in ("constraint", "validity") and change.verb in ("add", "alter")
        }
        for rule in after.constraints.values():
            if rule.name in new or moved & set(rule.columns):
                yield from _rule(look, after, rule)
        indexes = {
            change.after.name for change in mine if change.kind == "index" and change.verb in ("add", "alter")
        }
        for index in after.indexes.values():
            is_moved = any(mentions(index.tail, column) for column in moved)
            if index.is_unique and index.constraint is None and (index.name in indexes or is_moved):
                yield from _duplicates(look, after, index, index.name)


def _rule(look: _Look, table: CatalogTable, rule: CatalogConstraint) -> Iterator[Finding]:
    if rule.kind == "c":
        yield from _violating(
            look, "check", table.name, rule.name, f"NOT ({rule.expression})", rule.columns,
            f"CHECK {rule.expression} is false",
        )  # fmt: skip
    elif rule.kind in "pu":
        index = next((each for each in table.indexes.values() if each.constraint == rule.name), None)
        if index is not None:
            yield from _duplicates(look, table, index, rule.name)
    elif rule.kind == "f":
        yield from _orphans(look, table, rule)


def _duplicates(look: _Look, table: CatalogTable, index: CatalogIndex, name: str) -> Iterator[Finding]:
    if any(table.columns[term].identity for term in index.terms if term in table.columns):
        before = look.projection.found.tables[table.name]
        if any(term in table.columns and term not in before.columns for term in index.terms):
            return  # numbered as it is added
    terms = ", ".join(index.terms)
    filled = " AND ".join(f"({term}) IS NOT NULL" for term in index.terms)
    where = f"{filled} AND ({index.predicate})" if index.predicate else filled
    keys = look.projection.keys(table.name)
    names = [key for key, _ in keys] + list(index.terms)
    marks = ", ".join([*(f'u."~key {place}"' for place in range(len(keys))), 'u."~terms"'])
    rows = look.projection.rows(table.name)
    inner = (
        f'SELECT t.*, concat_ws(\', \', {terms}) AS "~terms", count(*) OVER (PARTITION BY {terms}) AS "~same"'
        f" FROM {rows} AS t WHERE {where}"
    )
    sql = f'SELECT {marks}, count(*) OVER () FROM ({inner}) AS u WHERE u."~same" > 1'
    names = [*(key for key, _ in keys), ", ".join(index.terms)]
    yield from look.find("unique", (table.name, name), f"{terms} is not unique", sql, names)


def _orphans(look: _Look, table: CatalogTable, rule: CatalogConstraint) -> Iterator[Finding]:
    assert rule.parent is not None
    parents = look.projection.rows(rule.parent)
    filled = " AND ".join(f"t.{quote(name)} IS NOT NULL" for name in rule.columns)
    condition = filled
    if parents is not None:
        same = " AND ".join(
            f"p.{quote(theirs)} = t.{quote(mine)}" for mine, theirs in zip(rule.columns, rule.parent_columns)
        )
        condition += f" AND NOT EXISTS (SELECT 1 FROM {parents} AS p WHERE {same})"
    message = f"{', '.join(rule.columns)} refers to no row of {rule.parent}"
    yield from _violating(look, "foreign-key", table.name, rule.name, condition, rule.columns, message)
