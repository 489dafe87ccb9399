"""What stands inside of a DO block: its statements, as far as they stand there in plain words.

Drizzle and people wrap a statement in a block to swallow `duplicate_object`, or to ask first whether
something is there. What a block makes by EXECUTE, in a loop, or by calls is not to be read from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from datalayer.schema.numbered.script import statements
from datalayer.schema.tokens import Statement

__all__ = ["is_plain", "unfolded"]

_VERBS = frozenset(["CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "WITH", "TRUNCATE", "COMMENT"])
# words of the language of the block before a statement; those in pairs run up to the second
_LEADING = frozenset(["BEGIN", "ELSE", "LOOP", "THEN"])
_UP_TO = {"IF": "THEN", "ELSIF": "THEN", "EXCEPTION": "THEN", "WHEN": "THEN", "DECLARE": "BEGIN"}
# after these no one knows what was made
_DARK = frozenset(["EXECUTE", "PERFORM", "CALL", "FOR", "FOREACH", "WHILE"])


def unfolded(statement: Statement) -> list[Statement]:
    """Give the statements that a statement consists of: those of a DO block, else itself."""
    if statement.verb != "DO":
        return [statement]
    return [inner for one in _body(statement) if (inner := _without_leading(one)) is not None]


def is_plain(statement: Statement) -> bool:
    """Say whether a DO block does only what `unfolded` gives, whatever it swallows: no call, no condition."""
    words = {token.upper for one in _body(statement) for token in one.tokens}
    return not words & (_DARK | {"IF", "DECLARE"})


def _body(statement: Statement) -> Iterator[Statement]:
    body = next((token for token in statement.tokens if token.kind == "string"), None)
    if body is None or not body.text.startswith("$"):
        return
    quote = body.text[: body.text.index("$", 1) + 1]
    above = statement.text.count("\n", 0, body.start - statement.tokens[0].start)
    for one in statements(body.text.removeprefix(quote).removesuffix(quote), "postgresql"):
        yield replace(one, line=statement.line + above + one.line - 1)


def _without_leading(statement: Statement) -> Statement | None:
    tokens = list(statement.tokens)
    while tokens and tokens[0].upper in (_LEADING | _UP_TO.keys()):
        end = _UP_TO.get(tokens.pop(0).upper)
        while end and tokens and tokens[0].upper != end:
            tokens.pop(0)
    if not tokens or tokens[0].upper not in _VERBS:
        return None
    start = tokens[0].start - statement.tokens[0].start
    above = statement.text.count("\n", 0, start)
    return Statement(statement.text[start:], statement.line + above, tuple(tokens))
