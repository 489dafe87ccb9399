"""Whose SQL a folder of migration files is written in: SQLite's, PostgreSQL's, or plain words of both.

By what a tool's own files say of it, else by the words; runs nothing.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, cast

from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import Folder, read_script
from datalayer.schema.numbered.script import Dialect
from datalayer.schema.tokens import KEYWORDS, Statement

__all__ = ["guess_dialect", "journal_document"]

_POSTGRES_TYPES_LIST = "SERIAL BIGSERIAL SMALLSERIAL JSONB TIMESTAMPTZ BYTEA UUID TSVECTOR INET CIDR"
_POSTGRES_TYPES = frozenset(_POSTGRES_TYPES_LIST.split())
# in pairs, for each of these words alone may well be the name of a column
_POSTGRES_PAIRS_LIST = """
OWNER TO, LANGUAGE PLPGSQL, LANGUAGE SQL, AS ENUM, USING GIN, USING GIST, AS IDENTITY, CREATE EXTENSION,
CREATE TYPE, INDEX CONCURRENTLY, VIEW CONCURRENTLY, ADD CONSTRAINT, ALTER COLUMN
"""
_POSTGRES_PAIRS = frozenset(tuple(pair.split()) for pair in _POSTGRES_PAIRS_LIST.split(","))
_SQLITE_WORDS_LIST = "AUTOINCREMENT PRAGMA ROWID STRICT STRFTIME JULIANDAY GLOB UNIXEPOCH"
_SQLITE_WORDS = frozenset(_SQLITE_WORDS_LIST.split())
_MYSQL_PAIRS = frozenset(
    [("MODIFY", "COLUMN"), ("CHANGE", "COLUMN"), ("DROP", "FOREIGN"), ("=", "INNODB"), ("=", "MYISAM")]
)
_DIALECTS: dict[str, Dialect] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "pg": "postgresql",
    "sqlite": "sqlite",
    "turso": "sqlite",
    "d1": "sqlite",
}
# https://www.prisma.io/docs/orm/prisma-migrate: the file that fixes the provider of a folder's history
_PRISMA_LOCK = "migration_lock.toml"
_PROVIDER = re.compile(r'^\s*provider\s*=\s*"(\w+)"', re.MULTILINE)


def guess_dialect(folder: Folder) -> Dialect | None:
    """Guess whose SQL a folder holds: drizzle and prisma say so, else by words that only one engine has.

    None where the files have no such word. Raises MigrationRefused for MySQL's.
    """
    if folder.layout == "d1":
        return "sqlite"
    said = _DIALECTS.get(_said(folder).lower())
    if said:
        return said
    postgres = sqlite = 0
    for file in folder.files():
        # PostgreSQL's lexical rules also go past SQLite's text; a body in dollars is one token of it
        for statement in file.statements("postgresql"):
            if _is_mysqls(statement):
                raise MigrationRefused(
                    f"{file.source}:{statement.line} is MySQL's",
                    why="the files of this folder are read as SQLite's or PostgreSQL's",
                    hint="name another folder with --dir, or say --dialect where they are that after all",
                )
            postgres += _signs_of_postgres(statement)
            sqlite += _signs_of_sqlite(statement)
    if postgres == sqlite == 0:
        return None
    return "postgresql" if postgres > sqlite else "sqlite"


def _is_mysqls(statement: Statement) -> bool:
    """Say whether a change of the schema has words that neither SQLite nor PostgreSQL knows."""
    if statement.verb not in ("CREATE", "ALTER"):
        return False
    words = [token.upper or token.text for token in statement.tokens]
    # as the name of a column it would stand behind a comma or parenthesis
    counts = any(word == "AUTO_INCREMENT" and before not in "(," for before, word in pairwise(words))
    return counts or not _MYSQL_PAIRS.isdisjoint(pairwise(words))


def _signs_of_postgres(statement: Statement) -> int:
    tokens = statement.tokens
    signs = sum(token.text == "::" or token.text.startswith("$") for token in tokens)
    for before, token in pairwise(tokens):
        # a type stands behind the name of its column
        is_named = before.kind == "identifier" or (before.kind == "word" and before.upper not in KEYWORDS)
        signs += is_named and token.upper in _POSTGRES_TYPES
        signs += (before.upper, token.upper) in _POSTGRES_PAIRS
    return signs


def _signs_of_sqlite(statement: Statement) -> int:
    words = [token.upper for token in statement.tokens]
    signs = sum(word in _SQLITE_WORDS for word in words) + statement.text.count("`")
    return signs + (words[:2] == ["INSERT", "OR"]) + (("DATETIME", "(") in pairwise(words))


def journal_document(folder: Folder) -> dict[str, Any]:
    """Give drizzle's journal as the document that it is; empty in other layouts, and where it is none."""
    source = folder.journal_file
    if not source.is_file():
        return {}
    try:
        document = json.loads(read_script(source))
    except (ValueError, MigrationRefused):
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _said(folder: Folder) -> str:
    """Give the dialect that drizzle's or prisma's own file names; an empty text where there is none."""
    lock = folder.root / _PRISMA_LOCK
    if folder.layout == "prisma" and lock.is_file():
        provider = _PROVIDER.search(read_script(lock))
        return provider[1] if provider else ""
    return str(journal_document(folder).get("dialect", ""))
