"""What a repair is going to do, and what it did: values, in words and as plain objects.

Knows no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datalayer.schema.finding import Finding

__all__ = ["Action", "RepairPlan", "RepairReport", "Step", "TableOutcome", "Way", "sum_up"]

Action = Literal[
    "reindex",
    "rebuild-text-index",
    "schema",
    "header",
    "convert",
    "default",
    "set-null",
    "set-default",
    "placeholder",
    "move",
    "sequence",
    "recover-log",
    "salvage",
    "validate",
]
Way = Literal["nothing", "in-place", "salvage"]


@dataclass(frozen=True, slots=True)
class Step:
    """One cure: what is done to which rows or object, why, and what was chosen where there was a choice.

    `is_lossy`: values leave their place, or are replaced. Every value that does is kept in lost_and_found.
    """

    action: Action
    table: str | None
    object: str | None
    count: int
    reason: str
    choice: str = ""
    is_lossy: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.choice}" if self.choice else self.reason

    def as_object(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "action": self.action,
            "table": self.table,
            "object": self.object,
            "count": self.count,
            "reason": self.reason,
            "choice": self.choice,
            "lossy": self.is_lossy,
        }


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """The rows of one table: in place, moved to lost_and_found, changed in place, known but unreadable.

    `made` are placeholders, beside the rows that are kept: for lost rows that many others refer to. The table
    lost_and_found names each, so that an app can find and delete them.
    """

    kept: int = 0
    moved: int = 0
    changed: int = 0
    given_up: int = 0
    made: int = 0

    def __str__(self) -> str:
        parts = [f"{self.kept} rows kept"]
        parts += [
            f"{count} {word}"
            for count, word in (
                (self.changed, "changed in place"),
                (self.moved, "moved to lost_and_found"),
                (self.given_up, "given up"),
                (self.made, "placeholders made"),
            )
            if count
        ]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What a repair would do. `left` are problems that it leaves to people, each with the reason."""

    database: str
    way: Way
    steps: tuple[Step, ...] = ()
    left: tuple[Finding, ...] = ()
    tables: dict[str, TableOutcome] = field(default_factory=dict[str, TableOutcome])

    @property
    def is_lossy(self) -> bool:
        """Whether values leave their place: `yes` must be said to it."""
        return any(step.is_lossy for step in self.steps)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.way == "nothing" and not self.steps

    def as_object(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "way": self.way,
            "lossy": self.is_lossy,
            "steps": [step.as_object() for step in self.steps],
            "tables": {name: _counts(outcome) for name, outcome in self.tables.items()},
        }


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did. `evidence` is the folder with every original byte, None where nothing was changed.

    `output` is the repaired file: the database itself, unless another was asked for; None on a server.
    """

    plan: RepairPlan
    output: Path | None
    evidence: Path | None
    seconds: float

    @property
    def left(self) -> tuple[Finding, ...]:
        """The problems that are left."""
        return self.plan.left

    @property
    def nothing_to_do(self) -> bool:
        """Whether the database was found sound, as far as a repair can help."""
        return self.plan.is_empty

    def as_object(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            **self.plan.as_object(),
            "nothing_to_do": self.nothing_to_do,
            "output": None if self.output is None else str(self.output),
            "evidence": None if self.evidence is None else str(self.evidence),
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[str]:
        """Tell it in words."""
        lines = [f"{step.action}: {step}" for step in self.plan.steps]
        lines += [f"{name}: {outcome}" for name, outcome in sorted(self.plan.tables.items())]
        if self.evidence is not None:
            lines.append(f"every original byte is in {self.evidence}")
        return lines


def sum_up(steps: Iterable[Step], kept: dict[str, int]) -> dict[str, TableOutcome]:
    """Give the outcome of each table from what was done and the rows that are there now."""
    every: Sequence[Step] = tuple(steps)

    def total(table: str, *actions: Action) -> int:
        return sum(step.count for step in every if step.table == table and step.action in actions)

    return {
        table: TableOutcome(
            count - total(table, "placeholder"),
            total(table, "move"),
            total(table, "convert", "default", "set-null", "set-default"),
            made=total(table, "placeholder"),
        )
        for table, count in kept.items()
    }


def _counts(outcome: TableOutcome) -> dict[str, int]:
    return {
        "kept": outcome.kept,
        "moved": outcome.moved,
        "changed": outcome.changed,
        "given_up": outcome.given_up,
        "made": outcome.made,
    }
