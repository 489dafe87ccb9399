"""SQLite triggers as PL/pgSQL functions and PostgreSQL triggers.

The portable subset: row triggers that RAISE(ABORT), read a row to lock it, or change other tables; and
AFTER triggers that set columns of their own row, which become BEFORE triggers, so that no second version of
the row is written. Anything else raises Unsupported.
https://www.postgresql.org/docs/current/plpgsql-trigger.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datalayer.schema.declaration import TriggerText, read_trigger
from datalayer.schema.postgres_functions import Value, adapt, as_condition
from datalayer.schema.postgres_query import Source, Translator
from datalayer.schema.postgres_types import Kind, Layout, PgTable, Unsupported
from datalayer.schema.reader import Reader, Unexpected
from datalayer.schema.snapshot import Table, Trigger
from datalayer.schema.tokens import fold, plain, quote, quote_text, significant, tokenize, unquote

__all__ = ["trigger_sql"]


@dataclass(slots=True)
class _Body:
    """The statements of a function while they are made."""

    lines: list[str]
    sets_row: bool = False
    writes: bool = False
    tables_read: frozenset[str] = frozenset()


def trigger_sql(trigger: Trigger, layout: Layout, table: Table | None) -> tuple[str, str]:
    """Give the CREATE FUNCTION and CREATE TRIGGER for a SQLite trigger; `table` is None for one on a view.

    Raises Unsupported, with the position in the trigger's text.
    """
    text = read_trigger(trigger.sql)
    row = layout[fold(text.table)]
    body = _Body([])
    condition = _condition(trigger, text, layout, row, body)
    for statement in text.statements:
        try:
            _statement(trigger, text, statement, layout, table, body)
        except Unsupported as exc:
            exc.position += max(trigger.sql.find(statement), 0)
            raise
        except Unexpected as exc:
            raise Unsupported(
                f"{exc.found!r}", "keep to the portable subset", trigger.sql.find(statement)
            ) from exc
    timing = _timing(text, row, body)
    inline = text.when is not None and (timing == "INSTEAD OF" or "SELECT" in condition)
    if inline:
        body.lines = [f"IF {condition} THEN", *(f"    {line}" for line in body.lines), "END IF;"]
    return _function(trigger.name, text, timing, body), _create(
        trigger.name, text, timing, row, "" if inline else condition
    )


def _condition(trigger: Trigger, text: TriggerText, layout: Layout, row: PgTable, body: _Body) -> str:
    if text.when is None:
        return ""
    translator = Translator(text.when, layout, row=row)
    try:
        condition = as_condition(translator.whole())
    except Unsupported as exc:
        exc.position += max(trigger.sql.find(text.when), 0)
        raise
    body.tables_read |= translator.tables_read
    return condition


def _timing(text: TriggerText, row: PgTable, body: _Body) -> str:
    """Decide when the trigger fires: one that sets its own row must do so before the row is written."""
    if not body.sets_row:
        return text.timing
    if body.writes or row.name in body.tables_read:
        raise Unsupported(
            "a trigger that sets its own row and does other things",
            "give each its own trigger: one that sets columns of the row, one that does the rest",
        )
    return "BEFORE"


def _function(name: str, text: TriggerText, timing: str, body: _Body) -> str:
    result = "NULL" if timing == "AFTER" else "OLD" if text.event == "DELETE" else "NEW"
    lines = "\n".join(f"    {line}" for line in (*body.lines, f"RETURN {result};"))
    # a function that reads tables finds them wherever the search_path of the session points later
    path = "\nSET search_path FROM CURRENT" if body.tables_read else ""
    code = f"\n#variable_conflict use_column\nBEGIN\n{lines}\nEND;\n"
    tag = "body"
    while f"${tag}$" in code:
        tag += "_"
    return f"CREATE FUNCTION {quote(name)}() RETURNS trigger LANGUAGE plpgsql{path} AS ${tag}${code}${tag}$"


def _create(name: str, text: TriggerText, timing: str, row: PgTable, condition: str) -> str:
    event = text.event
    if text.of_columns:
        event += " OF " + ", ".join(quote(_column_name(row, column)) for column in text.of_columns)
    when = f" WHEN ({condition})" if condition else ""
    return (
        f"CREATE TRIGGER {quote(name)} {timing} {event} ON {quote(row.name)} FOR EACH ROW{when}"
        f" EXECUTE FUNCTION {quote(name)}()"
    )


def _column_name(row: PgTable, name: str) -> str:
    column = row.column(name)
    if column is None:
        raise Unsupported(f"the column {row.name}.{name}", "name a column that the table has")
    return column.name


def _statement(
    trigger: Trigger, text: TriggerText, statement: str, layout: Layout, table: Table | None, body: _Body
) -> None:
    row = layout[fold(text.table)]
    tokens = significant(tokenize(statement))
    verb = tokens[0].upper
    translator = Translator(statement, layout, row=row)
    if verb == "SELECT" and any(token.upper == "RAISE" for token in tokens):
        body.lines += _raise(trigger, text, translator, row)
    elif verb == "SELECT":
        body.lines.append(_lock(translator))
    elif verb == "UPDATE" and table is not None and _is_own_row(text, table, translator.reader):
        body.lines.append(_set_row(statement, layout, row))
        body.sets_row = True
        return
    elif verb in ("INSERT", "UPDATE", "DELETE"):
        body.lines.append(
            {"INSERT": _insert, "UPDATE": _update, "DELETE": _delete}[verb](translator, row, text)
        )
        body.writes = True
    else:
        raise Unsupported(f"{verb} in a trigger", "use INSERT, UPDATE, DELETE or SELECT RAISE(ABORT, ...)")
    body.tables_read |= translator.tables_read


# -- SELECT ------------------------------------------------------------------------------------------------
# -------------


def _lock(translator: Translator) -> str:
    """Give a SELECT for its own sake.

    SQLite's writers stand in line anyway, here it locks the rows that it reads.
    """
    query = translator.query()
    translator.finish()
    if query.is_grouped:
        raise Unsupported(
            "a SELECT without RAISE that locks no rows",
            "select columns of the rows that others must not change meanwhile",
        )
    return f"PERFORM {query.sql.removeprefix('SELECT ')} FOR NO KEY UPDATE;"


def _raise(trigger: Trigger, text: TriggerText, translator: Translator, row: PgTable) -> list[str]:
    reader = translator.reader
    reader.expect("SELECT")
    start = reader.place
    # FROM comes first: it says what the names before it mean
    translator.scopes.append(())
    source = translator.skip_to_from() and translator.from_clause()
    after = reader.place
    reader.place = start
    branches = _branches(translator, trigger, text, row)
    reader.place = after if source else reader.place
    where = as_condition(translator.expression()) if reader.accept("WHERE") else ""
    translator.finish()
    lines: list[str] = []
    for condition, action in branches:
        both = " AND ".join(part for part in (where, condition) if part)
        if source:
            both = f"EXISTS (SELECT 1 FROM {source}{' WHERE ' + both if both else ''})"
        lines += [f"IF {both} THEN", f"    {action}", "END IF;"] if both else [action]
    return lines


def _branches(
    translator: Translator, trigger: Trigger, text: TriggerText, row: PgTable
) -> list[tuple[str, str]]:
    """Read RAISE(...) or CASE WHEN condition THEN RAISE(...) ... END as (condition, statement)."""
    reader = translator.reader
    if not reader.accept("CASE"):
        return [("", _action(translator, trigger, text, row))]
    branches: list[tuple[str, str]] = []
    before: list[str] = []
    while reader.accept("WHEN"):
        condition = as_condition(translator.expression())
        reader.expect("THEN")
        if reader.sees("RAISE"):
            # a CASE stops at its first true condition
            earlier = "".join(f" AND ({other}) IS NOT TRUE" for other in before)
            branches.append((condition + earlier, _action(translator, trigger, text, row)))
        else:
            translator.expression()
        before.append(condition)
    if reader.accept("ELSE"):
        if reader.sees("RAISE"):
            earlier = " AND ".join(f"({other}) IS NOT TRUE" for other in before)
            branches.append((earlier, _action(translator, trigger, text, row)))
        else:
            translator.expression()
    if not branches or not reader.accept("END"):
        raise Unsupported(
            "RAISE here", "write SELECT RAISE(ABORT, 'rule: text') WHERE condition", reader.peek().start
        )
    return branches


def _action(translator: Translator, trigger: Trigger, text: TriggerText, row: PgTable) -> str:
    reader = translator.reader
    start = reader.peek().start
    if not reader.accept("RAISE", "("):
        raise Unsupported(
            "RAISE inside an expression", "write SELECT RAISE(ABORT, 'rule: text') WHERE condition", start
        )
    word = reader.take().upper
    if word == "IGNORE" and text.timing == "BEFORE":
        reader.expect(")")
        return "RETURN NULL;"
    if word != "ABORT":
        raise Unsupported(f"RAISE({word})", "use RAISE(ABORT, 'rule: text')", start)
    reader.expect(",")
    token = reader.take()
    if token.kind not in ("string", "identifier") or not reader.accept(")"):
        raise Unsupported("RAISE with a computed message", "write the message as one literal", start)
    message = unquote(token)
    rule, separator, _ = message.partition(": ")
    name = rule if separator and rule and " " not in rule else trigger.name
    # 23514 is check_violation: the rule is named as a CHECK's name would be
    return (
        f"RAISE EXCEPTION USING MESSAGE = {quote_text(message)}, ERRCODE = '23514',"
        f" CONSTRAINT = {quote_text(name)}, TABLE = {quote_text(row.name)}, SCHEMA = TG_TABLE_SCHEMA;"
    )


# -- the row itself -------------------------------------------------------------------------------------


def _is_own_row(text: TriggerText, table: Table, reader: Reader) -> bool:
    """Whether this is UPDATE own table SET ... WHERE key = NEW.key, in a trigger after INSERT or UPDATE."""
    if text.timing != "AFTER" or text.event == "DELETE":
        return False
    start = reader.place
    reader.expect("UPDATE")
    own = fold(reader.name()) == fold(text.table)
    depth = 0
    where: tuple[str, ...] = ()
    while not reader.at_end:
        word = reader.take().upper
        depth += (word == "(") - (word == ")")
        if word == "WHERE" and depth == 0:
            where = plain(reader.tokens[reader.place :])
            break
    reader.place = start
    return own and where in _own_conditions(table)


def _own_conditions(table: Table) -> set[tuple[str, ...]]:
    keys = [column.name for column in table.columns if column.key_position]
    conditions: set[tuple[str, ...]] = set()
    for names in (keys, *([["rowid"], ["_rowid_"], ["oid"]] if not table.is_without_rowid else [])):
        for new_first in (False, True):
            tokens: list[str] = []
            for name in map(fold, names):
                sides = (["new", ".", name], [name]) if new_first else ([name], ["new", ".", name])
                tokens += [*(["and"] if tokens else []), *sides[0], "=", *sides[1]]
            conditions.add(tuple(tokens))
    conditions.discard(())
    return conditions


def _set_row(statement: str, layout: Layout, row: PgTable) -> str:
    """Write UPDATE own table SET a = x as NEW.a := x; bare columns mean the new row."""
    translator = Translator(statement, layout, [Source(row.name, row, "NEW.")], row=row)
    translator.reader.expect("UPDATE")
    translator.reader.name()
    pairs = _assignments(translator, row)
    if translator.tables_read:
        raise Unsupported(
            "a query in what a trigger sets its own row to", "compute the value where the row is written"
        )
    targets, values = [f"NEW.{quote(name)}" for name, _ in pairs], [value for _, value in pairs]
    if len(pairs) == 1:
        return f"{targets[0]} := {values[0]};"
    # one SELECT, so that each expression sees the row as it was
    return f"SELECT {', '.join(values)} INTO {', '.join(targets)};"


def _assignments(translator: Translator, table: PgTable) -> list[tuple[str, str]]:
    """Read SET a = x, b = y. Raises Unsupported."""
    reader = translator.reader
    reader.expect("SET")
    pairs: list[tuple[str, str]] = []
    while True:
        if reader.sees("("):
            raise Unsupported("SET (a, b) = ...", "set each column by itself", reader.peek().start)
        column = table.column(reader.name())
        if column is None:
            raise Unsupported(
                "an unknown column in SET", "name a column that the table has", reader.peek(-1).start
            )
        reader.expect("=")
        value = translator.expression()
        pairs.append((column.name, adapt(value, column.kind)))
        if not reader.accept(","):
            return pairs


# -- changes of other tables ----------------------------------------------------------------------------


def _target(translator: Translator, *, own: PgTable | None) -> PgTable:
    name = translator.reader.name()
    table = translator.layout.get(fold(name))
    if table is None:
        raise Unsupported(f"the table {name}", "write to a table of this schema")
    if own is not None and table.name == own.name:
        # SQLite leaves a trigger out that would fire itself, PostgreSQL would go on for ever
        raise Unsupported(
            "a trigger that changes other rows of its own table",
            "set columns of its own row by UPDATE ... WHERE key = NEW.key, or do it where the row is written",
        )
    translator.tables_read.add(table.name)
    return table


def _update(translator: Translator, row: PgTable, text: TriggerText) -> str:
    translator.reader.expect("UPDATE")
    _refuse_or(translator)
    table = _target(translator, own=row if text.event == "UPDATE" else None)
    translator.scopes.append((Source(table.name, table),))
    pairs = _assignments(translator, table)
    sql = f"UPDATE {quote(table.name)} SET {', '.join(f'{quote(name)} = {value}' for name, value in pairs)}"
    return sql + _where(translator) + ";"


def _delete(translator: Translator, row: PgTable, text: TriggerText) -> str:
    translator.reader.expect("DELETE", "FROM")
    table = _target(translator, own=row if text.event == "DELETE" else None)
    translator.scopes.append((Source(table.name, table),))
    return f"DELETE FROM {quote(table.name)}" + _where(translator) + ";"


def _where(translator: Translator) -> str:
    sql = f" WHERE {as_condition(translator.expression())}" if translator.reader.accept("WHERE") else ""
    translator.finish()
    return sql


def _refuse_or(translator: Translator) -> None:
    if translator.reader.accept("OR"):
        word = translator.reader.take().upper
        raise Unsupported(f"OR {word}", "write ON CONFLICT (columns) DO NOTHING or DO UPDATE")


def _insert(translator: Translator, row: PgTable, text: TriggerText) -> str:
    reader = translator.reader
    reader.expect("INSERT")
    _refuse_or(translator)
    reader.expect("INTO")
    table = _target(translator, own=row if text.event == "INSERT" else None)
    names = [column.name for column in table.columns.values()]
    if reader.sees("("):
        names = [
            _column_name(table, reader.inner((token,)).name())
            for token in reader.group()
            if token.upper != ","
        ]
    kinds: list[Kind] = [table.columns[fold(name)].kind for name in names]
    head = f"INSERT INTO {quote(table.name)} ({', '.join(quote(name) for name in names)}) "
    if reader.accept("VALUES"):
        rows = [_values(translator, kinds)]
        while reader.accept(","):
            rows.append(_values(translator, kinds))
        head += "VALUES " + ", ".join(rows)
    else:
        head += translator.query(kinds).sql
    return head + _on_conflict(translator, table) + ";"


def _values(translator: Translator, kinds: Sequence[Kind]) -> str:
    translator.reader.expect("(")
    values: list[Value] = [translator.expression()]
    while translator.reader.accept(","):
        values.append(translator.expression())
    translator.reader.expect(")")
    if len(values) != len(kinds):
        raise Unsupported("VALUES of another number than the columns", "give each column a value")
    return f"({', '.join(adapt(value, kind) for value, kind in zip(values, kinds))})"


def _on_conflict(translator: Translator, table: PgTable) -> str:
    reader = translator.reader
    if not reader.accept("ON", "CONFLICT"):
        translator.finish()
        return ""
    columns = ""
    if reader.sees("("):
        names = [
            _column_name(table, reader.inner((token,)).name())
            for token in reader.group()
            if token.upper != ","
        ]
        columns = f" ({', '.join(quote(name) for name in names)})"
    here = Source(table.name, table, f"{quote(table.name)}.")
    translator.scopes.append((here, Source("excluded", table)))
    target = f" ON CONFLICT{columns}"
    if reader.accept("WHERE"):
        target += f" WHERE {as_condition(translator.expression())}"
    reader.expect("DO")
    if reader.accept("NOTHING"):
        translator.finish()
        return f"{target} DO NOTHING"
    reader.expect("UPDATE")
    pairs = _assignments(translator, table)
    sets = ", ".join(f"{quote(name)} = {value}" for name, value in pairs)
    return f"{target} DO UPDATE SET {sets}" + _where(translator)
