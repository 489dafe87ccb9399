"""T001 to T003: files that steer the transaction, or hold what cannot be in one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datalayer.schema.numbered.manner import manner_of
from datalayer.schema.tokens import Statement, unquote
from datalayer.schema.validate.finding import Severity
from datalayer.schema.validate.postgres_block import unfolded
from datalayer.schema.validate.postgres_change import changes_of
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

_STEERING_LIST = "BEGIN COMMIT END ROLLBACK ABORT"
# what may stand around a statement that runs outside of a transaction
_HARMLESS = ("SET", "RESET", "SELECT", "SHOW")
_ADDS_VALUE = re.compile(r"\bADD\s+VALUE\b", re.IGNORECASE)
_STEERING = frozenset(_STEERING_LIST.split())


def _steers(statement: Statement) -> str:
    words = [token.upper for token in statement.tokens[:3]]
    if words[:2] == ["START", "TRANSACTION"]:
        return "START TRANSACTION"
    return words[0] if words[0] in _STEERING and "TO" not in words else ""


def _own_transaction(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        is_open = False
        severity = _severity(subject, source)
        for statement in source.statements:
            word = _steers(statement)
            # the end of a transaction that the file began is told with its beginning
            if word and not is_open:
                message = f"{word} in a file that is run in a transaction"
                yield Hit(source.path, statement.line, message, severity=severity)
            is_open = word in ("BEGIN", "START TRANSACTION") or (is_open and not word)


def _severity(subject: Subject, source: Source) -> Severity | None:
    """Weigh a transaction of the file's own: one around all of it is what the run makes anyway.

    Drizzle and D1 fail on it. Prisma and golang-migrate open none themselves, nor does who is asked not to.
    """
    if subject.layout in ("drizzle", "d1") or subject.target == "d1":
        return None
    is_needed = subject.layout == "prisma" or source.file.source.name.endswith(".up.sql")
    if is_needed or source.is_outside:
        return "info"
    steering = [bool(_steers(one)) for one in source.statements if one.verb not in ("PRAGMA", *_HARMLESS)]
    is_whole = steering[:1] == steering[-1:] == [True] and steering.count(True) == 2
    return "warning" if is_whole else None


def _is_outside(subject: Subject, statement: Statement) -> bool:
    if subject.is_sqlite:
        words = [token.upper for token in statement.tokens]
        return words[0] == "VACUUM" or (words[0] == "PRAGMA" and "journal_mode" in statement.text.lower())
    return manner_of(statement, subject.dialect).how == "outside"


def _mixed(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        # settings may stand before it
        others = [one for one in source.statements if not _steers(one) and one.verb not in _HARMLESS]
        for statement in source.statements:
            if len(others) > 1 and _is_outside(subject, statement):
                words = " ".join(token.text for token in statement.tokens[:3])
                message = f"{words} runs outside of a transaction only, and the file has other statements"
                severity = "warning" if source.is_outside else None
                yield Hit(source.path, statement.line, message, severity=severity)


def _used_at_once(subject: Subject) -> Iterator[Hit]:
    for source in () if subject.is_sqlite else subject.sources:
        if source.is_outside or not _ADDS_VALUE.search(source.text):
            continue
        added: dict[str, str] = {}
        own: set[str] = set()
        for statement in source.statements:
            changes = [change for one in unfolded(statement) for change in changes_of(one)]
            own |= {change.name for change in changes if change.kind == "create enum"}
            new = {
                label: change.name
                for change in changes
                if change.kind == "add value" and change.name not in own
                for label in change.labels
            }
            # what a comment says is not used
            strings = {
                unquote(token)
                for one in unfolded(statement)
                for token in one.tokens
                if token.kind == "string" and one.verb != "COMMENT"
            }
            for label in () if new else sorted(strings & added.keys()):
                message = f"the label '{label}' of {added[label]} is used in the transaction that adds it"
                yield Hit(source.path, statement.line, message)
            added.update(new)


RULES = (
    Rule(
        "T001",
        "error",
        "BEGIN or COMMIT in a file",
        "remove it: each file is run in a transaction",
        _own_transaction,
    ),
    Rule(
        "T002",
        "error",
        "a statement that runs outside of a transaction, among others",
        "put it in a file of its own",
        _mixed,
    ),
    Rule("T003", "error", "a new label of an enum used at once", "use it in a later file", _used_at_once),
)
