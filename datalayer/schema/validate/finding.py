"""What a rule over migrations found: where in the files, how bad, and the way to mend it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["RuleFinding", "Severity"]

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One finding of a rule; `line` counts from 1, and `file` is the path as the folder was given.

    `id` never changes its meaning. `fix` says what to do.
    """

    id: str
    severity: Severity
    file: str
    line: int
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity} {self.id} {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return asdict(self)
