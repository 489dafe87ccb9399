"""What a rehearsal saw: one report a statement, and everything that the rules make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from datalayer.schema.validate.finding import RuleFinding

__all__ = ["Rehearsal", "Rows", "StatementReport", "Tool"]

Tool = Literal["datalayer", "plain", "d1"]
Rows = Literal["real", "synthetic", "both"]


@dataclass(frozen=True, slots=True)
class StatementReport:
    """One statement of a pending file, as it went on the copy.

    `rows` maps each table whose number of rows changed to (before, after), those that only a cascade or a
    trigger reached too; None stands for a table that is not there. `links` is the same for references that
    were set: "child.column -> parent". `changes` says in words what became of the schema, `no_op` why it did
    nothing. On PostgreSQL `locks` are the (table, mode) that it took on tables that were there before its
    file, `rewrites` and `scans` the tables that it wrote anew or read whole.
    """

    file: str
    line: int
    sql: str
    milliseconds: float
    error: str | None = None
    rows: Mapping[str, tuple[int | None, int | None]] = field(
        default_factory=dict[str, tuple[int | None, int | None]]
    )
    links: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    changes: tuple[str, ...] = ()
    no_op: str | None = None
    broken_references: int = 0
    locks: tuple[tuple[str, str], ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        document = asdict(self)
        document["rows"] = {
            table: {"before": before, "after": after} for table, (before, after) in self.rows.items()
        }
        document["links"] = {
            link: {"before": before, "after": after} for link, (before, after) in self.links.items()
        }
        document["locks"] = [{"table": table, "mode": mode} for table, mode in self.locks]
        document["milliseconds"] = round(self.milliseconds, 3)
        return document


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A whole rehearsal.

    `files` are the names of the pending migrations, in order. `filled` counts the synthetic rows of each
    table, `unfilled` says of the others what was in the way.
    """

    tool: Tool
    with_rows: Rows
    files: tuple[str, ...]
    statements: tuple[StatementReport, ...]
    findings: tuple[RuleFinding, ...]
    filled: Mapping[str, int]
    unfilled: Mapping[str, str]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing worse than an info was found."""
        return all(finding.severity == "info" for finding in self.findings)
