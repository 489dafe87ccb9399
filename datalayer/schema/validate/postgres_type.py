"""Names and types of PostgreSQL in one form, however they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datalayer.schema.tokens import Token, fold, unquote

__all__ = ["name_of", "type_text"]

# https://www.postgresql.org/docs/current/datatype.html: the aliases
_TYPE_NAMES_LIST = """
int8=bigint serial8=bigserial int4=integer int=integer serial4=serial int2=smallint serial2=smallserial
bool=boolean decimal=numeric float8=double_precision float=double_precision float4=real
character_varying=varchar character=char bit_varying=varbit
"""
_TYPE_NAMES = {
    alias.replace("_", " "): name.replace("_", " ")
    for alias, _, name in (pair.partition("=") for pair in _TYPE_NAMES_LIST.split())
}
_ZONED = re.compile(
    r"(?P<name>timestamp|time)\s*(?P<size>\(\d+\))? (?P<zone>with|without) time zone", re.IGNORECASE
)


def name_of(token: Token) -> str:
    """Give the name that a token stands for; bare words are in lower case."""
    return fold(token.text) if token.kind == "word" else unquote(token)


def type_text(tokens: Sequence[Token]) -> str:
    """Give a type under one name, whichever of its names is written."""
    text = "".join(
        f" {name_of(token)}" if token.kind in ("word", "identifier") else token.text for token in tokens
    )
    text = text.strip().replace(". ", ".").removeprefix("public.").removeprefix("pg_catalog.")
    match = _ZONED.fullmatch(text)
    if match is not None:
        text = f"{match['name']}{'tz' * (match['zone'] == 'with')}{match['size'] or ''}"
    name, bracket, rest = text.partition("(" if "(" in text else "[")
    return f"{_TYPE_NAMES.get(name.strip(), name)}{bracket}{rest}"
