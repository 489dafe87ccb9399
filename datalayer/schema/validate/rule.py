"""A rule as a value: its id, how bad a breach is, what it says, and the function that looks for breaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from datalayer.schema.validate.finding import RuleFinding, Severity
from datalayer.schema.validate.subject import Subject

__all__ = ["Hit", "Rule"]


class Hit(NamedTuple):
    """A breach, as the function of a rule tells it; what is left out is the rule's own."""

    file: str
    line: int
    message: str
    fix: str = ""
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `about` is a line for people, `fix` what to do where a hit says nothing better."""

    id: str
    severity: Severity
    about: str
    fix: str
    look: Callable[[Subject], Iterable[Hit]]

    def findings(self, subject: Subject) -> list[RuleFinding]:
        """Give every breach in a folder."""
        return [
            RuleFinding(
                self.id, hit.severity or self.severity, hit.file, hit.line, hit.message, hit.fix or self.fix
            )
            for hit in self.look(subject)
        ]
