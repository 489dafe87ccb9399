"""D005: statements that the target does not take: Cloudflare D1, this SQLite, PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from itertools import pairwise

from datalayer.schema.tokens import Statement, fold, unquote
from datalayer.schema.validate.data import needs_rows
from datalayer.schema.validate.references import unknown_name
from datalayer.schema.validate.replay import Step
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source, line_at
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

# measured on workerd
_D1_VERBS_LIST = "ATTACH DETACH BEGIN SAVEPOINT VACUUM COMMIT ROLLBACK RELEASE"
_D1_VERBS = frozenset(_D1_VERBS_LIST.split())
_D1_PRAGMAS = frozenset(
    ["journal_mode", "user_version", "writable_schema", "integrity_check", "cache_size", "page_size"]
)
_D1_FUNCTIONS = frozenset(["load_extension", "sqlite_version"])
_SQLITE_ONLY = (
    (re.compile(r"\bAUTOINCREMENT\b", re.IGNORECASE), "AUTOINCREMENT"),
    (re.compile(r"\A\s*PRAGMA\b", re.IGNORECASE), "PRAGMA"),
    (re.compile(r"\A\s*INSERT\s+OR\s+(?:IGNORE|REPLACE)\b", re.IGNORECASE), "INSERT OR"),
    (re.compile(r"\)\s*(?:STRICT|WITHOUT\s+ROWID)\s*\Z", re.IGNORECASE), "STRICT and WITHOUT ROWID"),
    (re.compile(r"\A\s*REPLACE\s+INTO\b", re.IGNORECASE), "REPLACE"),
    (re.compile(r"\A\s*CREATE\s+VIRTUAL\b", re.IGNORECASE), "virtual tables"),
    (re.compile(r"\bCOLLATE\s+(?:NOCASE|RTRIM|BINARY)\b", re.IGNORECASE), "collation of SQLite"),
    (re.compile(r"\b(?:strftime|datetime|julianday|unixepoch)\s*\(", re.IGNORECASE), "function of SQLite"),
    (re.compile(r"\A\s*CREATE\s+TRIGGER\b.*\bBEGIN\b", re.I | re.S), "trigger with a body of its own"),
    (re.compile(r"\b(?:TABLE|INDEX|INTO|FROM|JOIN|ON|UPDATE)\s+\[", re.IGNORECASE), "names in brackets"),
)
# words that a server before this major version does not know
_POSTGRES_SINCE = (
    (
        18,
        re.compile(
            r"\)\s+VIRTUAL\b|\bNOT\s+NULL\s+\w+\s+NOT\s+VALID\b|\bWITHOUT\s+OVERLAPS\b|\buuidv7\s*\(", re.I
        ),
    ),
    (15, re.compile(r"\bNULLS\s+NOT\s+DISTINCT\b|\A\s*MERGE\s+INTO\b|\bsecurity_invoker\b", re.IGNORECASE)),
    (14, re.compile(r"\bDETACH\s+PARTITION\s+\S+\s+CONCURRENTLY\b|\bBEGIN\s+ATOMIC\b", re.IGNORECASE)),
)


def _refused(subject: Subject) -> Iterator[Hit]:
    if subject.target == "d1":
        yield from _refused_by_d1(subject)
    if subject.is_sqlite:
        yield from _refused_by_sqlite(subject)
    else:
        yield from _refused_by_postgres(subject)


def _refused_by_d1(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        for statement in source.statements:
            what = _d1_word(statement)
            if what:
                yield Hit(source.path, statement.line, f"D1 refuses {what}", "leave it out")


def _d1_word(statement: Statement) -> str:
    names = [fold(unquote(token)) for token in statement.tokens]
    words = [token.upper for token in statement.tokens]
    if words[0] in _D1_VERBS:
        return words[0]
    if words[0] == "PRAGMA":
        found = next((name for name in names[1:4] if name in _D1_PRAGMAS), "")
        return f"PRAGMA {found}" if found else ""
    if words[0] == "CREATE" and {*words[1:2]} & {"TEMP", "TEMPORARY"}:
        return "temporary tables"
    if words[:3] == ["CREATE", "VIRTUAL", "TABLE"] and "rtree" in names:
        return "rtree"
    calls = (name for name, after in zip(names, words[1:]) if after == "(")
    return next((f"{name}()" for name in calls if name in _D1_FUNCTIONS), "")


def _refused_by_sqlite(subject: Subject) -> Iterator[Hit]:
    failed: set[str] = set()
    for step in subject.replay.steps:
        error = step.error
        if error is None or error == "interrupted":
            continue
        names = {
            fold(unquote(token)) for token in step.statement.tokens if token.kind in ("word", "identifier")
        }
        missing = unknown_name(error)
        is_known = (
            bool(missing) or not step.is_certain or bool(failed & {fold(word) for word in error.split()})
        )
        if step.statement.verb == "CREATE":
            failed |= names
        if is_known or needs_rows(error):
            continue
        severity = "warning" if error.startswith(("no such function", "no such module")) else "error"
        message = f"SQLite {sqlite3.sqlite_version} refuses it: {error}"
        words = [token.upper for token in step.statement.tokens]
        is_libsqls = words[:2] == ["ALTER", "TABLE"] and ("ALTER", "COLUMN") in pairwise(words)
        fix = "only libSQL changes a column like that; elsewhere make the table anew" if is_libsqls else ""
        yield Hit(step.source.path, _line(step, error), message, fix, severity)


def _line(step: Step, error: str) -> int:
    match = re.match(r'near "(?P<word>.+)": syntax error', error)
    # SQLite tells the word and not its place; the first word of a statement is never it
    tokens = [token for token in step.statement.tokens[1:] if match and token.text == match["word"]]
    return line_at(step.statement, tokens[0]) if tokens else step.statement.line


def _refused_by_postgres(subject: Subject) -> Iterator[Hit]:
    version = _server_version(subject)
    for source in subject.sources:
        for statement in source.statements:
            yield from _sqlite_words(source, statement)
            for since, pattern in _POSTGRES_SINCE:
                match = pattern.search(statement.text) if version and version < since else None
                if match:
                    text = " ".join(match[0].split())
                    message = f"PostgreSQL {version} does not know `{text}`, which came with {since}"
                    yield Hit(source.path, statement.line, message)


def _sqlite_words(source: Source, statement: Statement) -> Iterator[Hit]:
    quoted = {"string": "''", "identifier": '"" '}
    code = "".join(quoted.get(token.kind) or f"{token.text} " for token in statement.tokens)
    for pattern, word in _SQLITE_ONLY:
        if pattern.search(code):
            yield Hit(source.path, statement.line, f"PostgreSQL has no {word}")
    for token in statement.tokens:
        if token.text == "`":
            yield Hit(
                source.path, line_at(statement, token), "PostgreSQL quotes names with double quotes only"
            )
            return


def _server_version(subject: Subject) -> int:
    if subject.engine is None or subject.engine.dialect.name == "sqlite":
        return 0
    return int(subject.engine.fetch_all("SHOW server_version_num")[0][0]) // 10000


RULES = (
    Rule(
        "D005",
        "error",
        "a statement that the target does not take",
        "write it in a way that the target takes, or name the target with --dialect or --target",
        _refused,
    ),
)
