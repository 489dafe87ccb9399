"""Findings of rules over migrations as commands print and count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datalayer.schema.validate.finding import RuleFinding

__all__ = ["counts_of", "in_words", "lines_of"]


def counts_of(findings: Iterable[RuleFinding]) -> dict[str, int]:
    """Count findings by severity, the worst first."""
    severities = Counter(one.severity for one in findings)
    return {severity: severities[severity] for severity in ("error", "warning", "info")}


def in_words(counts: Mapping[str, int]) -> str:
    """Write counts as people say them: "2 errors, 1 warning"."""
    said = ", ".join(f"{count} {name}{'s'[: count != 1]}" for name, count in counts.items() if count)
    return said or "nothing found"


def lines_of(findings: Iterable[RuleFinding]) -> Iterator[str]:
    """Yield the lines that tell of each, the way to mend it last."""
    for one in findings:
        yield str(one)
        yield f"    fix: {one.fix}"
