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

    | id | what |
    |---|---|
    | DL-C001 | damaged pages |
    | DL-C002 | an index that disagrees with its table |
    | DL-C003 | stored values that break a rule of their table |
    | DL-C004 | a rule that this SQLite cannot compute |
    | DL-C010 | references without the row referred to |
    | DL-C020 to C022 | an object that is missing, changed, extra |
    | DL-C023 | another number in the header (user_version, application_id) |
    | DL-C024 | a database without any table |
    | DL-C030, C031 | a pending, an unknown migration |
    | DL-C040 | foreign keys are not enforced on this connection |
    | DL-C050, C051 | PostgreSQL: an invalid index, a constraint that was never validated |
    """

    id: str
    severity: Severity
    table: str | None
    object: str | None
    count: int
    message: str
    repair: Repair
