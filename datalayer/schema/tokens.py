"""SQLite's lexical rules: SQL text as tokens with their spans, a script as statements.

Knows nothing of grammar beyond where a statement ends. Every token is a slice of the text, so a caller
replaces spans and never writes SQL anew. Rules: https://sqlite.org/lang_keywords.html, tokenize.c and
complete.c of SQLite.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

__all__ = [
    "KEYWORDS",
    "Kind",
    "Statement",
    "Token",
    "canonical",
    "canonical_text",
    "fold",
    "line_of",
    "plain",
    "quote",
    "quote_text",
    "significant",
    "spelled",
    "split",
    "tokenize",
    "unquote",
]

Kind = Literal[
    "space", "comment", "word", "identifier", "string", "blob", "number", "parameter", "operator", "illegal"
]


class Token(NamedTuple):
    """One token: `text` is `source[start:end]`.

    `word` is a keyword or a bare name, `identifier` a name in "", `` or []; `string` is in ''. `illegal` is
    what SQLite calls an unrecognized token, an unterminated quote included.
    """

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The keyword this token may be.

        Its text in upper case for a bare word or operator, else an empty string.
        """
        return self.text.upper() if self.kind in ("word", "operator") else ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script.

    Its text without the final semicolon, and the line (from 1) on which it begins.
    """

    text: str
    line: int
    tokens: tuple[Token, ...]

    @property
    def verb(self) -> str:
        """The first keyword, in upper case."""
        return self.tokens[0].upper


# sqlite3_keyword_name() of SQLite 3.40 to 3.54; a quoted name among them never equals the bare word.
_KEYWORD_LIST = """
ABORT ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ATTACH AUTOINCREMENT BEFORE BEGIN BETWEEN BY
CASCADE CASE CAST CHECK COLLATE COLUMN COMMIT CONFLICT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE
CURRENT_TIME CURRENT_TIMESTAMP DATABASE DEFAULT DEFERRABLE DEFERRED DELETE DESC DETACH DISTINCT DO DROP
EACH ELSE END ESCAPE EXCEPT EXCLUDE EXCLUSIVE EXISTS EXPLAIN FAIL FILTER FIRST FOLLOWING FOR FOREIGN FROM
FULL GENERATED GLOB GROUP GROUPS HAVING IF IGNORE IMMEDIATE IN INDEX INDEXED INITIALLY INNER INSERT
INSTEAD INTERSECT INTO IS ISNULL JOIN KEY LAST LEFT LIKE LIMIT MATCH MATERIALIZED NATURAL NO NOT NOTHING
NOTNULL NULL NULLS OF OFFSET ON OR ORDER OTHERS OUTER OVER PARTITION PLAN PRAGMA PRECEDING PRIMARY QUERY
RAISE RANGE RECURSIVE REFERENCES REGEXP REINDEX RELEASE RENAME REPLACE RESTRICT RETURNING RIGHT ROLLBACK
ROW ROWS SAVEPOINT SELECT SET TABLE TEMP TEMPORARY THEN TIES TO TRANSACTION TRIGGER UNBOUNDED UNION UNIQUE
UPDATE USING VACUUM VALUES VIEW VIRTUAL WHEN WHERE WINDOW WITH WITHOUT FALSE TRUE
"""
KEYWORDS = frozenset(_KEYWORD_LIST.split())

_ID = r"[A-Za-z0-9_$\x80-\U0010ffff]"
# Each alternative decides by its first characters and never gives back what it took, so the whole is linear
# in time.
_LEXER = re.compile(
    rf"""
      (?P<space>[ \t\n\f\r\ufeff][ \t\n\v\f\r]*)
    | (?P<comment>--[^\n]*|/\*(?!\Z)(?s:.*?)(?:\*/|\Z))
    | (?P<blob>[xX]'[0-9a-fA-F]*')
    | (?P<badblob>[xX]'[^']*'?)
    | (?P<word>[A-Za-z_\x80-\U0010ffff]{_ID}*)
    | (?P<string>'[^']*(?:''[^']*)*'?)
    | (?P<double>"[^"]*(?:""[^"]*)*"?)
    | (?P<grave>`[^`]*(?:``[^`]*)*`?)
    | (?P<bracket>\[[^\]]*\]?)
    | (?P<number>(?:0[xX][0-9a-fA-F][0-9a-fA-F_]*
                    |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?))
      (?P<tail>{_ID}*)
    | (?P<parameter>\?[0-9]*|[@\#:$](?:::)*(?P<name>{_ID}(?:{_ID}|::)*(?P<suffix>\([^\s)]*\)?)?)?)
    | (?P<operator>->>|->|<=|<>|<<|>=|>>|==|!=|\|\||[-+*/%&|~<>=(),;.])
    | (?P<illegal>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSERS = {"string": "'", "double": '"', "grave": "`", "bracket": "]"}
_PLAIN: dict[str, Kind] = {
    "space": "space",
    "comment": "comment",
    "blob": "blob",
    "badblob": "illegal",
    "word": "word",
    "operator": "operator",
    "illegal": "illegal",
}


def tokenize(sql: str) -> Iterator[Token]:
    """Yield every token of `sql` in order, white space and comments too: the texts join to `sql`.

    Cost: linear in the length of the text. Never fails: what SQLite would refuse comes as kind `illegal`.
    """
    for match in _LEXER.finditer(sql):
        yield Token(_kind(match), match[0], match.start(), match.end())


def significant(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """Leave out white space and comments."""
    return tuple(token for token in tokens if token.kind not in ("space", "comment"))


def split(script: str) -> list[Statement]:
    """Split a script into its statements, each without its semicolon; empty ones are left out.

    A CREATE TRIGGER ends at `; END ;`, as sqlite3_complete() has it. The text of a statement begins and
    ends with a significant token: comments around it are not part of it, those within it are. A last
    statement needs no semicolon.
    """
    statements: list[Statement] = []
    current: list[Token] = []
    state = _START
    line, counted = 1, 0
    for token in tokenize(script):
        if token.kind in ("space", "comment"):
            continue
        state = _NEXT[state][_column(token)]
        if state != _START:
            current.append(token)
        elif current:
            line, counted = line + script.count("\n", counted, current[0].start), current[0].start
            statements.append(_statement(script, current, line))
            current = []
    if current:
        statements.append(_statement(script, current, line + script.count("\n", counted, current[0].start)))
    return statements


def line_of(text: str, position: int) -> int:
    """Give the line, from 1, on which `position` of `text` lies."""
    return text.count("\n", 0, position) + 1


def unquote(token: Token) -> str:
    """Give the name or value that a word, identifier or string stands for."""
    text = token.text
    if token.kind == "word":
        return text
    if token.kind == "identifier" and text[0] == "[":
        return text[1:-1]
    if token.kind in ("identifier", "string"):
        return text[1:-1].replace(text[0] * 2, text[0])
    return text


def fold(name: str) -> str:
    """Bring a name to the form in which SQLite compares names.

    ASCII letters in lower case, all others as they are.
    """
    if name.isascii():
        return name.lower()
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def quote(name: str) -> str:
    """Write a name as a quoted identifier, the same on both engines."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(value: str) -> str:
    """Write a string literal, the same on both engines (standard_conforming_strings is on)."""
    return "'" + value.replace("'", "''") + "'"


def canonical(tokens: Iterable[Token], names: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Bring tokens to one form, so that layout, comments, letter case and quoting make no difference.

    `names` are the folded names of the schema: a quoted identifier among them equals the bare word, any other
    keeps its case, for SQLite may take it as a string.
    """
    return tuple(_canonical(token, names) for token in tokens if token.kind not in ("space", "comment"))


def canonical_text(text: str, names: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Bring a text to the form of `canonical`; the last ones that have no quoted name are remembered."""
    if '"' in text or "`" in text or "[" in text:
        return canonical(tokenize(text), names)
    return _canonical_without_names(text)


@lru_cache(maxsize=4096)
def _canonical_without_names(text: str) -> tuple[str, ...]:
    return canonical(tokenize(text))


def spelled(text: str) -> tuple[str, ...]:
    """Bring a text to a form in which layout, comments, quotes and the letter case of keywords are free."""
    return tuple(
        unquote(token)
        if token.kind == "identifier" or (token.kind == "word" and token.upper not in KEYWORDS)
        else _canonical(token, frozenset())
        for token in tokenize(text)
        if token.kind not in ("space", "comment")
    )


def plain(tokens: Iterable[Token]) -> tuple[str, ...]:
    """Bring tokens to folded texts without quotes of names.

    Enough to recognise a construct whose names are known.
    """
    return tuple(
        fold(unquote(token)) if token.kind in ("word", "identifier") else token.text
        for token in tokens
        if token.kind not in ("space", "comment")
    )


def _canonical(token: Token, names: frozenset[str]) -> str:
    if token.kind == "word":
        return fold(token.text)
    if token.kind == "identifier":
        name = fold(unquote(token))
        bare = name in names and name.upper() not in KEYWORDS
        return name if bare else f'"{name if name in names else unquote(token)}"'
    if token.kind == "operator":
        return {"==": "=", "!=": "<>"}.get(token.text, token.text)
    return token.text.lower() if token.kind in ("number", "blob") else token.text


def _kind(match: re.Match[str]) -> Kind:
    group = match.lastgroup or "illegal"
    if group in _PLAIN:
        return _PLAIN[group]
    text = match[0]
    if group == "tail":
        return "illegal" if match["tail"] else "number"
    if group == "parameter":
        named = text[0] == "?" or match["name"]
        return "parameter" if named and (match["suffix"] or ")").endswith(")") else "illegal"
    # A doubled quote stands for itself, so the last one closes when an odd number of them ends the text.
    body, closer = text[1:], _CLOSERS[group]
    ends = len(body) - len(body.rstrip(closer))
    if not (ends if closer == "]" else ends % 2):
        return "illegal"
    return "string" if group == "string" else "identifier"


def _statement(script: str, tokens: list[Token], line: int) -> Statement:
    return Statement(script[tokens[0].start : tokens[-1].end], line, tuple(tokens))


# The state machine of sqlite3_complete(): what a word may mean is decided by the words before it.
_START = 1
_COLUMNS = {";": 0, "EXPLAIN": 2, "CREATE": 3, "TEMP": 4, "TEMPORARY": 4, "TRIGGER": 5, "END": 6}
_OTHER = 1
_NEXT = (
    # ;  other EXPLAIN CREATE TEMP TRIGGER END
    (1, 2, 3, 4, 2, 2, 2),  # 0 nothing yet
    (1, 2, 3, 4, 2, 2, 2),  # 1 between statements
    (1, 2, 2, 2, 2, 2, 2),  # 2 in a statement
    (1, 3, 2, 4, 2, 2, 2),  # 3 after EXPLAIN
    (1, 2, 2, 2, 4, 5, 2),  # 4 after CREATE
    (6, 5, 5, 5, 5, 5, 5),  # 5 in a trigger
    (6, 5, 5, 5, 5, 5, 7),  # 6 in a trigger, after a semicolon
    (1, 5, 5, 5, 5, 5, 5),  # 7 in a trigger, after ; END
)


def _column(token: Token) -> int:
    if token.kind == "word":
        return _COLUMNS.get(token.text.upper(), _OTHER)
    return 0 if token.text == ";" else _OTHER
