"""Names in double quotes that SQLite takes as texts, because there is no such column.

https://sqlite.org/quirks.html#double_quoted_string_literals_are_accepted: drizzle-kit writes them when it
recreates a table with a new column, and each row gets the column's name as its value.
"""

from __future__ import annotations

import re
import sqlite3

from datalayer.schema.tokens import Statement, Token, fold, unquote

__all__ = ["taken_as_text"]

_MISSING = re.compile(r"no such column: (?P<name>.+)")


def taken_as_text(connection: sqlite3.Connection, statement: Statement) -> Token | None:
    """Give the name that is a column of the table written to, and none where it is read; None if all is well.

    Compiles the statement with backquotes, which are never taken as texts. A quoted text that is no column's
    name is left alone: it is meant.
    """
    words = [token.upper for token in statement.tokens]
    quoted = [token for token in statement.tokens if token.kind == "identifier" and token.text[0] == '"']
    # among VALUES there are no columns to read
    if not quoted or ("SELECT" not in words and statement.verb not in ("UPDATE", "DELETE")):
        return None
    begin, text = statement.tokens[0].start, statement.text
    for token in reversed(quoted):
        name = unquote(token).replace("`", "``")
        text = f"{text[: token.start - begin]}`{name}`{text[token.end - begin :]}"
    try:
        connection.execute(f"EXPLAIN {text}").fetchall()
    except sqlite3.Error as exc:
        missing = _MISSING.fullmatch(str(exc))
    else:
        return None
    if missing is None:
        return None
    name = fold(missing["name"])
    found = next((token for token in reversed(quoted) if fold(unquote(token)) == name), None)
    return found if found is not None and name in _columns_written(connection, statement) else None


def _columns_written(connection: sqlite3.Connection, statement: Statement) -> set[str]:
    words = [token.upper for token in statement.tokens]
    before = "INTO" if "INTO" in words else "UPDATE" if "UPDATE" in words else "FROM"
    place = words.index(before) + 1 if before in words else 0
    if words[place + 1 : place + 2] == ["."]:
        place += 2
    if not 0 < place < len(statement.tokens):
        return set()
    name = unquote(statement.tokens[place])
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,)).fetchall()
    return {fold(str(row[0])) for row in rows}
