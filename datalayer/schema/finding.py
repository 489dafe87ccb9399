"""One thing that a check found, with what it means for the data and who can put it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Repair", "Severity"]

Severity = Literal["error", "warning", "info"]
Repair = Literal["automatic", "lossy", "manual", "none"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `id` never changes its meaning; `object` is an index, constraint, column or migration.

    Physical: DL-C001 damaged pages, DL-C002 an index that disagrees with its table. Rows: DL-C003 a stored
    value breaks a rule of its table, DL-C010 references without the row referred to. Schema: DL-C020
    missing, DL-C021 changed, DL-C022 extra, DL-C023 another number in the header, DL-C024 nothing there.
    History: DL-C030 pending migration, DL-C031 unknown migration. Settings: DL-C040 foreign keys are not
    enforced. PostgreSQL: DL-C050 invalid index, DL-C051 constraint that was never validated.
    """

    id: str
    severity: Severity
    table: str | None
    object: str | None
    count: int
    message: str
    repair: Repair
