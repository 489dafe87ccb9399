"""S001 and S002: habits that hide what happened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

_SWALLOWS = re.compile(r"\bEXCEPTION\s+WHEN\b(?P<handlers>.*)\bEND\b", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_NOTHING = re.compile(
    r"\bTHEN\s+(?:NULL\s*;|(?=END\b|WHEN\b)|RAISE\s+(?:NOTICE|INFO|DEBUG|LOG)\b)", re.IGNORECASE
)
_CONDITIONAL = {
    "sqlite": frozenset(["TABLE", "INDEX", "VIEW", "TRIGGER"]),
    "postgresql": frozenset(["TABLE", "INDEX", "SCHEMA", "SEQUENCE"]),
}


def _swallowed(subject: Subject) -> Iterator[Hit]:
    for source in () if subject.is_sqlite else subject.sources:
        for statement in source.statements:
            text = _COMMENT.sub(lambda found: " " * len(found[0]), statement.text)
            match = _SWALLOWS.search(text) if statement.verb == "DO" else None
            silent = _NOTHING.search(match["handlers"]) if match else None
            if match and silent:
                line = statement.line + statement.text.count("\n", 0, match.start())
                yield Hit(source.path, line, "an exception is caught and nothing is done about it")


def _mixed(subject: Subject) -> Iterator[Hit]:
    nouns = _CONDITIONAL[subject.dialect]
    for source in subject.sources:
        bare: list[tuple[int, str]] = []
        conditional = 0
        for statement in source.statements:
            words = [token.upper for token in statement.tokens[:8]]
            noun = next((word for word in words[1:4] if word in nouns), "")
            if words[0] != "CREATE" or not noun or "REPLACE" in words[:3]:
                continue
            if "EXISTS" in words:
                conditional += 1
            else:
                name = next(
                    (t.text for t, word in zip(statement.tokens[2:], words[2:]) if word not in nouns), ""
                )
                bare.append((statement.line, f"{noun} {name}"))
        if conditional and bare:
            line, what = bare[0]
            message = f"CREATE {what} fails on a second run, where others of the file say IF NOT EXISTS"
            yield Hit(source.path, line, message)


RULES = (
    Rule(
        "S001",
        "warning",
        "a swallowed exception",
        "ask the catalog whether it is there, and let errors out",
        _swallowed,
    ),
    Rule(
        "S002",
        "warning",
        "IF NOT EXISTS for some objects of a file only",
        "leave it out everywhere: a file is applied once, whole",
        _mixed,
    ),
)
