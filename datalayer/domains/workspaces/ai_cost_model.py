"""What an AI call cost, what may be spent, and what is said when that is not enough.

Knows no statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypedDict, cast

import peewee

from datalayer.errors import DataLayerError
from datalayer.repository.fields import IdField, JSONField, MicrosField, UtcField
from datalayer.repository.mixins import Timestamps

__all__ = [
    "AiUsage",
    "BudgetExceeded",
    "BudgetPeriod",
    "BudgetStatus",
    "CallOptions",
    "CostBudget",
    "CostTotal",
    "UsageStatus",
    "period_start",
]

BudgetPeriod = Literal["daily", "monthly", "total"]
UsageStatus = Literal["reserved", "settled", "released"]


class AiUsage(Timestamps):
    """One call of an AI: what was reserved for it, and what it cost.

    `reserved` while the call runs, then `settled` with its cost, or `released` without any; both are final.
    A reservation counts until `expires_at`.
    """

    id = IdField()
    user_id = peewee.TextField(null=True)
    provider = peewee.TextField()
    model = peewee.TextField(default="")
    feature = peewee.TextField(default="")
    status = cast("peewee.Field[UsageStatus]", peewee.TextField(default="settled"))
    reserved = MicrosField(column_name="reserved_micros", default=Decimal(0))
    cost = MicrosField(column_name="cost_micros", default=Decimal(0))
    input_tokens = peewee.BigIntegerField(default=0)
    output_tokens = peewee.BigIntegerField(default=0)
    expires_at = cast("peewee.Field[datetime | None]", UtcField(null=True))
    ended_at = cast("peewee.Field[datetime | None]", UtcField(null=True))
    metadata = JSONField(default=dict)

    class Meta:
        """Where it is stored."""

        table_name = "ai_usage_logs"


class CostBudget(Timestamps):
    """What one user (`user_id` None: all together) may spend in each period.

    `limit` None follows the setting `max_ai_cost_per_user_daily`; only a user's daily budget may say so.
    """

    id = IdField()
    user_id = cast("peewee.Field[str | None]", peewee.TextField(null=True))
    period = cast("peewee.Field[BudgetPeriod]", peewee.TextField(default="daily"))
    limit = cast("peewee.Field[Decimal | None]", MicrosField(column_name="limit_micros", null=True))

    class Meta:
        """Where it is stored."""

        table_name = "ai_cost_budgets"


class CallOptions(TypedDict, total=False):
    """What can be said of a call besides its provider."""

    model: str
    feature: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """A budget at one moment; `user_id` None is the one of all together, `limit` None has no end.

    `reserved` is what calls that run now may still cost.
    """

    user_id: str | None
    period: BudgetPeriod
    since: datetime
    limit: Decimal | None
    spent: Decimal
    reserved: Decimal

    @property
    def remaining(self) -> Decimal | None:
        """What may still be reserved; below 0 where calls cost more than was reserved for them."""
        return None if self.limit is None else self.limit - self.spent - self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTotal:
    """What the calls of one group cost together."""

    group: str | None
    calls: int
    cost: Decimal
    input_tokens: int
    output_tokens: int


class BudgetExceeded(DataLayerError):
    """A call may cost more than a budget has left; nothing was reserved. `budget` says how it stands."""

    code = "DL-E206"

    def __init__(
        self, what: str, *, budget: BudgetStatus, why: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.budget = budget


def period_start(period: BudgetPeriod, now: datetime) -> datetime:
    """Give the moment (UTC) from which a period counts that is running at `now`; both in UTC.

    Raises:
        KeyError: no such period.
    """
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        "daily": day,
        "monthly": day - timedelta(days=day.day - 1),
        "total": datetime(1, 1, 1, tzinfo=now.tzinfo),
    }
    return starts[period]
