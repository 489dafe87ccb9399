"""What a user asks for: words, "phrases", beginnings*, -without, this OR that; in the words of both engines.

A word is letters and digits; all else parts words, as in the index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datalayer.errors import CheckViolation

__all__ = ["Query", "Term", "list_words", "read_query", "words_in"]

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"?|(?P<bare>[^\s"]+))')
_MOST_TERMS = 64


@dataclass(frozen=True, slots=True)
class Term:
    """Words in a row; of the last one only the beginning counts where `is_prefix`."""

    words: tuple[str, ...]
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: of each group of `wanted` one term must be there, and none of `unwanted`."""

    wanted: tuple[tuple[Term, ...], ...]
    unwanted: tuple[Term, ...] = ()

    def matcher(self) -> Callable[[str], bool]:
        """Give the function that says whether a word, in lower case, is to be marked."""
        terms = [term for group in self.wanted for term in group]
        exact = frozenset(word for term in terms for word in term.words)
        beginnings = tuple(term.words[-1] for term in terms if term.is_prefix)
        if not beginnings:
            return exact.__contains__
        return lambda word: word in exact or word.startswith(beginnings)

    def fts5(self) -> str:
        """Give it for FTS5 (https://sqlite.org/fts5.html, "Full-text Query Syntax")."""
        text = " AND ".join(f"({' OR '.join(map(_fts5_term, group))})" for group in self.wanted)
        return f"({text}) NOT ({' OR '.join(map(_fts5_term, self.unwanted))})" if self.unwanted else text

    def tsquery(self) -> str:
        """Give it for to_tsquery (https://www.postgresql.org/docs/current/datatype-textsearch.html)."""
        parts = [f"({' | '.join(map(_tsquery_term, group))})" for group in self.wanted]
        return " & ".join([*parts, *(f"!({_tsquery_term(term)})" for term in self.unwanted)])


def list_words(text: str) -> list[str]:
    """Give the words of a text, as they are written."""
    return _WORD.findall(text)


def words_in(text: str) -> Iterator[re.Match[str]]:
    """Yield the words of a text where they stand."""
    return _WORD.finditer(text)


def read_query(text: str) -> Query:
    """Read what a user typed; every text is taken that asks for a word.

    Raises:
        CheckViolation: there is no word to look for, or more than 64 terms.
    """
    wanted: list[list[Term]] = []
    unwanted: list[Term] = []
    is_or = False
    for part in _PART.finditer(text):
        if part["bare"] == "OR" and not part["minus"]:
            is_or = bool(wanted)
            continue
        term = _term(part)
        if term is None:
            continue
        if part["minus"]:
            unwanted.append(term)
        elif is_or:
            wanted[-1].append(term)
        else:
            wanted.append([term])
        is_or = False
    if not wanted or len(unwanted) + sum(map(len, wanted)) > _MOST_TERMS:
        raise CheckViolation(
            "a search asks for no word" if not wanted else f"a search asks for more than {_MOST_TERMS} terms",
            hint="give a word that is to be found" if not wanted else "ask for fewer",
        )
    return Query(tuple(map(tuple, wanted)), tuple(unwanted))


def _term(part: re.Match[str]) -> Term | None:
    text: str = part["phrase"] if part["phrase"] is not None else part["bare"]
    words = tuple(word[0].lower() for word in _WORD.finditer(text))
    is_prefix = part["bare"] is not None and text.endswith("*")
    return Term(words, is_prefix) if words else None


def _fts5_term(term: Term) -> str:
    return f'"{" ".join(term.words)}"{"*" if term.is_prefix else ""}'


def _tsquery_term(term: Term) -> str:
    text = " <-> ".join(f"'{word}'" for word in term.words)
    return f"{text}:*" if term.is_prefix else text
