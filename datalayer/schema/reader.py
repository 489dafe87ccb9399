"""A cursor over the significant tokens of one statement: look, take, expect, balanced groups.

Knows no statement: declaration reads CREATE texts with it, the PostgreSQL modules read expressions and
queries.
"""

from __future__ import annotations

from collections.abc import Sequence

from datalayer.schema.tokens import Token, significant, tokenize, unquote

__all__ = ["Reader", "Unexpected", "commas"]

_END = Token("illegal", "", 0, 0)
_NAMES = ("word", "identifier", "string")


class Unexpected(ValueError):
    """A token stands where another was expected; `found` is its text, empty at the end of the text."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found or 'the end'!r} where {expected} was expected")
        self.found = found
        self.expected = expected


class Reader:
    """Reads tokens one after the other; `source` is the text that their spans point into."""

    __slots__ = ("place", "source", "tokens")

    def __init__(self, source: str, tokens: Sequence[Token] | None = None) -> None:
        self.source = source
        self.tokens = significant(tokenize(source)) if tokens is None else tokens
        self.place = 0

    def peek(self, ahead: int = 0) -> Token:
        """Give the token `ahead` places on; an empty one past the end."""
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else _END

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.place >= len(self.tokens)

    def take(self) -> Token:
        """Go past one token and return it. Raises Unexpected at the end."""
        token = self.peek()
        if self.at_end:
            raise Unexpected("", "more")
        self.place += 1
        return token

    def sees(self, *words: str) -> bool:
        """Whether the next tokens are these keywords or operators (in upper case)."""
        return all(self.peek(ahead).upper == word for ahead, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Go past these keywords or operators if they come next."""
        if not self.sees(*words):
            return False
        self.place += len(words)
        return True

    def accept_one(self, *words: str) -> str:
        """Go past the next token if it is one of these; return it in upper case, else an empty string."""
        word = self.peek().upper
        if word not in words or not word:
            return ""
        self.place += 1
        return word

    def expect(self, *words: str) -> None:
        """Go past these keywords or operators. Raises Unexpected when others stand there."""
        if not self.accept(*words):
            raise Unexpected(self.peek().text, " ".join(words))

    def name(self) -> str:
        """Take a name, bare or quoted. Raises Unexpected."""
        if self.peek().kind not in _NAMES:
            raise Unexpected(self.peek().text, "a name")
        return unquote(self.take())

    def group(self) -> tuple[Token, ...]:
        """Take a parenthesised group and return what stands between the parentheses. Raises Unexpected."""
        self.expect("(")
        start, depth = self.place, 1
        while depth:
            word = self.take().upper
            depth += (word == "(") - (word == ")")
        return tuple(self.tokens[start : self.place - 1])

    def text(self, tokens: Sequence[Token]) -> str:
        """Give the source text that a run of tokens spans, comments inside included."""
        return self.source[tokens[0].start : tokens[-1].end] if tokens else ""

    def inner(self, tokens: Sequence[Token]) -> Reader:
        """Give a reader over a part of the same source."""
        return Reader(self.source, tokens)


def commas(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    """Split a run of tokens at the commas outside parentheses; an empty run has no parts."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        word = token.upper
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts] if tokens else []
