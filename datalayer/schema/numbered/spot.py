"""Where in a file a statement went wrong, as far as the database told.

PostgreSQL tells the place itself; SQLite's driver only the word, which counts where it stands once.
"""

from __future__ import annotations

import re
from typing import Any

from datalayer.schema.tokens import Statement, fold, unquote

__all__ = ["spot_of"]

_WORD = re.compile(
    r"""(?:near\ "(?P<near>.+)":\ syntax\ error
    |no\ such\ (?:column|table|function|index|view|trigger|savepoint):\ (?P<missing>.+)
    |(?:table|index|view|trigger)\ "?(?P<there>.+?)"?\ already\ exists)\Z""",
    re.VERBOSE,
)


def spot_of(statement: Statement, error: Any, text: str) -> tuple[int, int] | None:
    """Give line and column, from 1, in the file's `text`; None where nobody knows."""
    told = getattr(getattr(error, "diag", None), "statement_position", None)
    offset = int(told) - 1 if told else _of_word(statement, str(error))
    if offset is None or not 0 <= offset <= len(statement.text):
        return None
    begin = statement.text.rfind("\n", 0, offset) + 1
    line = statement.line + statement.text.count("\n", 0, offset)
    if begin:
        return line, offset - begin + 1
    lines = text.split("\n", line)
    first = statement.text.partition("\n")[0]
    indent = lines[line - 1].find(first) if len(lines) >= line else -1
    return (line, indent + offset + 1) if indent >= 0 else None


def _of_word(statement: Statement, said: str) -> int | None:
    match = _WORD.match(said)
    if match is None:
        return None
    word = fold(next(group for group in match.groups() if group)).rpartition(".")[2]
    begin = statement.tokens[0].start
    # the parser is never surprised by the first word
    tokens = statement.tokens[1:] if match["near"] else statement.tokens
    places = [token.start - begin for token in tokens if fold(unquote(token)) == word]
    return places[0] if len(places) == 1 else None
