"""Names in PostgreSQL's own texts: putting another name in, and names of our own that are known again.

Reads words, quoted names and literals; nothing of grammar.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from datalayer.schema.tokens import quote

__all__ = ["NAME_BYTES", "ident", "is_temporary", "mentions", "object_name", "rename_in", "temporary"]

_LEXER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_\x80-\U0010ffff][\w$]*|\s+|::|.""", re.DOTALL)
_BARE = re.compile(r"[a-z_][a-z0-9_$]*\Z")
# select word from pg_get_keywords() where catcode <> 'U', PostgreSQL 18: what quote_ident() quotes
_KEYWORD_LIST = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both
case cast char character check coalesce collate collation column concurrently constraint create cross
current_catalog current_date current_role current_schema current_time current_timestamp current_user dec
decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
freeze from full grant greatest group grouping having ilike in initially inner inout int integer
intersect interval into is isnull join json json_array json_arrayagg json_exists json_object
json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading least left
like limit localtime localtimestamp merge_action national natural nchar none normalize not notnull null
nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real
references returning right row select session_user setof similar smallint some substring symmetric
system_user table tablesample then time timestamp to trailing treat trim true union unique user using
values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists
xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
_KEYWORDS = frozenset(_KEYWORD_LIST.split())
NAME_BYTES = 63
_OURS = re.compile(r"~datalayer_[0-9a-f]{16}\Z")


def temporary(*parts: str) -> str:
    """Give the name of something that a migration makes for a while.

    The same parts give the same name, so a migration that goes on finds what it made. `~` sorts behind all
    letters: of BEFORE triggers, which fire in the order of their names, ours is the last.
    """
    return f"~datalayer_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def object_name(table: str, column: str, ending: str) -> str:
    """Give the name that PostgreSQL makes up for a thing of a column.

    Where it gets too long the longer of table and column gives way, never the ending.
    """
    names = [table.encode(), column.encode()]
    while sum(map(len, names)) + len(f"__{ending}") > NAME_BYTES:
        longer = 0 if len(names[0]) > len(names[1]) else 1
        names[longer] = names[longer][:-1].decode(errors="ignore").encode()
    return "_".join([*(name.decode() for name in names), ending])


def is_temporary(name: str) -> bool:
    """Whether a migration made this name up."""
    return _OURS.match(name) is not None


def ident(name: str) -> str:
    """Write a name as PostgreSQL's quote_ident() does, so that texts can be compared."""
    return name if _BARE.match(name) and name not in _KEYWORDS else quote(name)


def _name_of(token: str) -> str | None:
    if token.startswith('"'):
        return token[1:-1].replace('""', '"')
    # a bare word of PostgreSQL's own texts is a name as it is, or a keyword, which no bare name is
    return token if token[0].isalpha() or token[0] == "_" or ord(token[0]) > 127 else None


def rename_in(text: str, names: Mapping[str, str]) -> str:
    """Put new names in place of old ones in an expression, query or definition.

    Left alone: literals, functions (a name before a parenthesis) and types (a name behind `::`).
    """
    tokens: list[str] = _LEXER.findall(text)
    before = ""
    for place, token in enumerate(tokens):
        if token.isspace():
            continue
        name = _name_of(token)
        if name is not None and name in names and before not in ("::", "COLLATE"):
            following = next((each for each in tokens[place + 1 :] if not each.isspace()), "")
            if following != "(" or token.startswith('"'):
                tokens[place] = ident(names[name])
        before = token
    return "".join(tokens)


def mentions(text: str | None, name: str) -> bool:
    """Whether a name stands in a text, by the same reading."""
    return text is not None and rename_in(text, {name: f"{name}!"}) != text
