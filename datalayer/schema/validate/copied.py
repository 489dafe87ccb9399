"""What INSERT INTO new (columns) SELECT values FROM old puts where."""

from __future__ import annotations

from collections.abc import Sequence

from datalayer.schema.reader import commas
from datalayer.schema.tokens import Statement, Token, fold, unquote
from datalayer.schema.validate.source import reader_of

__all__ = ["copied_values"]


def copied_values(statement: Statement) -> list[tuple[str, Sequence[Token]]]:
    """Give the folded names of the columns with the tokens of their values; nothing where it is not plain."""
    reader = reader_of(statement)
    words = [token.upper for token in reader.tokens]
    if "SELECT" not in words or "(" not in words[: words.index("SELECT")]:
        return []
    reader.place = words.index("(")
    names = [fold(unquote(part[0])) for part in commas(reader.group()) if part]
    start = words.index("SELECT") + 1
    stop = words.index("FROM", start) if "FROM" in words[start:] else len(words)
    values = commas(reader.tokens[start:stop])
    return list(zip(names, values)) if len(values) == len(names) else []
