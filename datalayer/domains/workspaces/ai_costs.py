"""What AI calls cost and may cost: reserve before a call, settle after it.

A budget is a row that everyone who reserves locks, and what counts against it is always summed up from the
calls themselves, so that no counter can go wrong. Amounts are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Unpack

import peewee

from datalayer.domains.workspaces.ai_cost_model import (
    AiUsage,
    BudgetExceeded,
    BudgetPeriod,
    BudgetStatus,
    CallOptions,
    CostBudget,
    CostTotal,
    period_start,
)
from datalayer.domains.workspaces.settings import Settings
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, InvalidTransition
from datalayer.repository.base import Repository
from datalayer.repository.fields import decode_micros, encode_micros, encode_utc, new_id
from datalayer.repository.page import Page

__all__ = ["RESERVATION_S", "AiCosts"]

RESERVATION_S = 900.0
_ZERO = Decimal(0)


class AiCosts(Repository[AiUsage]):
    """`store.workspaces.ai_costs`; `budgets` is the plain repository of the budgets.

    call = costs.reserve(user.id, Decimal("0.05"), provider="openai", feature="summary")
    answer = ask(...)
    costs.settle(call, Decimal("0.0312"), input_tokens=900, output_tokens=70)
    """

    def __init__(
        self,
        engine: Engine,
        model: type[AiUsage] | None = None,
        *,
        data_dir: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.budgets = Repository(engine, CostBudget)
        self._settings = settings or Settings(engine)
        sql = engine.dialect.sql
        used = (
            "SELECT COALESCE(SUM(CASE WHEN status = 'settled' THEN cost_micros END), 0),"
            " COALESCE(SUM(CASE WHEN status = 'reserved' AND expires_at > ? THEN reserved_micros END), 0)"
            " FROM ai_usage_logs WHERE created_at >= ?"
        )
        # now, since
        self._used_sql = sql(used)
        # now, since, user
        self._used_by_user_sql = sql(f"{used} AND user_id = ?")
        self._mine_sql = sql("user_id = ? OR user_id IS NULL")
        insert = "INSERT INTO ai_cost_budgets (id, user_id, period, limit_micros, created_at, updated_at)"
        # id, user, now, now
        self._first_budget_sql = sql(
            f"{insert} VALUES (?, ?, 'daily', NULL, ?, ?) ON CONFLICT (user_id, period) DO NOTHING"
        )
        # id, user, period, limit, now, now
        self._set_own_sql = sql(f"{insert} VALUES (?, ?, ?, ?, ?, ?)" + _on_conflict("(user_id, period)"))
        self._set_shared_sql = sql(
            f"{insert} VALUES (?, ?, ?, ?, ?, ?)" + _on_conflict("(period) WHERE user_id IS NULL")
        )

    # -- budgets -----------------------------------------------------------------------------------

    def set_budget(
        self, limit: Decimal, *, user_id: str | None = None, period: BudgetPeriod = "daily"
    ) -> CostBudget:
        """Let a user, or without one all together, spend no more than this in each day, month, or ever.

        Counts from the beginning of the period that is running. Days and months are those of UTC.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: an amount below 0, or no such period.
        """
        now = encode_utc(self.engine.clock())
        statement = self._set_shared_sql if user_id is None else self._set_own_sql
        amount = self.budgets.shape.encode_one("limit", limit)
        with self.engine.transaction():
            self._write(statement, (new_id(), user_id, period, amount, now, now))
            return self.budgets.one(user_id=user_id, period=period)

    def remove_budget(self, *, user_id: str | None = None, period: BudgetPeriod = "daily") -> bool:
        """Take a budget away; False where there was none.

        A user's day is limited by the setting `max_ai_cost_per_user_daily` then.
        """
        return self.budgets.delete_where(user_id=user_id, period=period) > 0

    def find_budgets(self, user_id: str) -> list[BudgetStatus]:
        """Give the budgets that a call of this user counts against, as they stand: first the user's own."""
        with nullcontext() if self.engine.in_transaction else self.engine.transaction(read=True):
            found = self._find(user_id)
            if not any(budget.user_id == user_id and budget.period == "daily" for budget in found):
                found.append(CostBudget(user_id=user_id, period="daily", limit=None))
            now = self.engine.clock()
            standing = [self._standing(budget, now) for budget in found]
        return sorted(standing, key=lambda each: (each.user_id is None, each.period))

    def remaining(self, user_id: str) -> Decimal | None:
        """Give what a call of this user may cost now at most; None where nothing limits it, never below 0."""
        return _least(self.find_budgets(user_id))

    # -- before and after a call -------------------------------------------------------------------

    def reserve(
        self,
        user_id: str,
        max_cost: Decimal | None,
        *,
        provider: str,
        ttl_s: float = RESERVATION_S,
        **options: Unpack[CallOptions],
    ) -> AiUsage:
        """Take what a call may cost at most out of the user's budgets, before the call.

        However many reserve at the same time, what is spent and reserved never exceeds a budget; so as long
        as calls cost no more than was reserved for them, none is overshot, and a call that does overshoots
        it by its own excess alone. `max_cost` None is for a call whose cost cannot be told: it takes all that
        is left, and others are refused until it is settled. A reservation that is neither settled nor
        released stops counting after `ttl_s`, as its process may have died. Locks the user's budgets; sums up
        the calls of their periods by an index.

        Raises:
            BudgetExceeded: a budget has not enough left.
            ForeignKeyViolation: there is no such user.
            CheckViolation: an amount below 0.
        """
        if max_cost is not None and encode_micros(max_cost) < 0:
            raise CheckViolation(f"a call cannot cost {max_cost}", columns=("reserved_micros",))
        with self.engine.transaction():
            budgets = self._lock_budgets(user_id)
            now = self.engine.clock()
            standing = [self._standing(budget, now) for budget in budgets]
            amount = _affordable(standing, max_cost)
            return self.add(
                user_id=user_id,
                provider=provider,
                status="reserved",
                reserved=amount,
                created_at=now,
                expires_at=now + timedelta(seconds=ttl_s),
                **options,
            )

    def settle(
        self, call: AiUsage | str, cost: Decimal, *, input_tokens: int = 0, output_tokens: int = 0
    ) -> AiUsage:
        """Record what a call cost, and give it; what was reserved beyond that is free again. Once only.

        A cost above what was reserved is recorded as it is: the money is spent.

        Raises:
            InvalidTransition: settled or released already.
            NotFound: there is no such call.
            CheckViolation: a cost or a number below 0.
        """
        changes = {"cost": cost, "input_tokens": input_tokens, "output_tokens": output_tokens}
        return self._end(call, "settled", changes)

    def release(self, call: AiUsage | str) -> AiUsage:
        """Give back what was reserved for a call that cost nothing.

        Raises:
            InvalidTransition: settled or released already.
            NotFound: there is no such call.
        """
        return self._end(call, "released", {})

    def record(
        self,
        user_id: str | None,
        cost: Decimal,
        *,
        provider: str,
        input_tokens: int = 0,
        output_tokens: int = 0,
        **options: Unpack[CallOptions],
    ) -> AiUsage:
        """Record a call for which nothing was reserved; budgets count it, and do not refuse it.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: a cost or a number below 0.
        """
        now = self.engine.clock()
        return self.add(
            user_id=user_id,
            provider=provider,
            status="settled",
            cost=cost,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            created_at=now,
            ended_at=now,
            **options,
        )

    # -- looking -----------------------------------------------------------------------------------

    def page_for_user(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[AiUsage]:
        """Give one page of a user's calls, the newest first."""
        return self.page(user_id=user_id, order_by=("-created_at", "-id"), size=size, after=after)

    def find_unsettled(self, limit: int = 100) -> list[AiUsage]:
        """Give calls whose reservation ran out without an end, the oldest first; they may yet be settled."""
        now = self.engine.clock()
        return self.find(
            AiUsage.expires_at <= now, status="reserved", order_by=("expires_at", "id"), limit=limit
        )

    def totals(
        self, by: Literal["provider", "model", "feature", "user_id"], since: datetime, until: datetime
    ) -> list[CostTotal]:
        """Sum up the settled calls from `since` to before `until`, the dearest group first."""
        column = self.shape.quoted[self.shape.field(by).name]
        sql = self.engine.dialect.sql(
            f"SELECT {column}, COUNT(*), SUM(cost_micros), SUM(input_tokens), SUM(output_tokens)"
            " FROM ai_usage_logs WHERE status = 'settled' AND created_at >= ? AND created_at < ?"
            f" GROUP BY {column} ORDER BY 3 DESC, 1"
        )
        rows = self.engine.fetch_all(sql, (encode_utc(since), encode_utc(until)))
        return [
            CostTotal(
                group=group,
                calls=int(calls),
                cost=decode_micros(micros),
                input_tokens=int(tokens_in),
                output_tokens=int(tokens_out),
            )
            for group, calls, micros, tokens_in, tokens_out in rows
        ]

    # -- pieces ------------------------------------------------------------------------------------

    def _find(self, user_id: str, *, locked: bool = False) -> list[CostBudget]:
        budgets = self.budgets.for_update() if locked else self.budgets
        mine = peewee.SQL(self._mine_sql, (user_id,))
        # in one order, so that nobody waits for somebody who waits for them
        return budgets.find(mine, order_by="id")

    def _lock_budgets(self, user_id: str) -> list[CostBudget]:
        """Lock what a call of this user counts against; a user without a daily budget is given one."""
        found = self._find(user_id, locked=True)
        if not any(budget.user_id == user_id and budget.period == "daily" for budget in found):
            now = encode_utc(self.engine.clock())
            self._write(self._first_budget_sql, (new_id(), user_id, now, now))
            found = self._find(user_id, locked=True)
        if self.engine.dialect.row_lock:
            # written too, so that PostgreSQL refuses a transaction whose snapshot is older than the last call
            self.budgets.update_where(id=[budget.id for budget in found], changes={})
        return found

    def _standing(self, budget: CostBudget, now: datetime) -> BudgetStatus:
        since = period_start(budget.period, now.astimezone(UTC))
        times = (encode_utc(now), encode_utc(since))
        if budget.user_id is None:
            row = self._fetch_one(self._used_sql, times)
        else:
            row = self._fetch_one(self._used_by_user_sql, (*times, budget.user_id))
        spent, reserved = row or (0, 0)
        limit = budget.limit
        if limit is None:
            limit = self._settings.read().max_ai_cost_per_user_daily
        return BudgetStatus(
            user_id=budget.user_id,
            period=budget.period,
            since=since,
            limit=limit,
            spent=decode_micros(spent),
            reserved=decode_micros(reserved),
        )

    def _end(self, call: AiUsage | str, status: str, changes: dict[str, Any]) -> AiUsage:
        key = call.id if isinstance(call, AiUsage) else call
        ended = {"status": status, "expires_at": None, "ended_at": self.engine.clock(), **changes}
        with self.engine.transaction():
            if not self.update_where(id=key, status="reserved", changes=ended):
                current = self.get(key).status
                raise InvalidTransition(
                    f"the call {key!r} is {current} already",
                    current=current,
                    wanted=status,
                    hint="record() takes what it cost besides",
                )
            return self.get(key)


def _on_conflict(target: str) -> str:
    return (
        f" ON CONFLICT {target} DO UPDATE"
        " SET limit_micros = excluded.limit_micros, updated_at = excluded.updated_at"
    )


def _least(standing: Sequence[BudgetStatus]) -> Decimal | None:
    left = [each.remaining for each in standing if each.remaining is not None]
    return max(min(left), _ZERO) if left else None


def _affordable(standing: Sequence[BudgetStatus], max_cost: Decimal | None) -> Decimal:
    """Give what to reserve.

    Raises:
        BudgetExceeded: with the budget that has the least left.
    """
    for budget in sorted(
        (each for each in standing if each.remaining is not None), key=lambda each: each.remaining or _ZERO
    ):
        left = budget.remaining or _ZERO
        if left < (max_cost or _ZERO) or (max_cost is None and left == 0):
            whose = "all users together" if budget.user_id is None else f"the user {budget.user_id!r}"
            raise BudgetExceeded(
                f"the {budget.period} AI budget of {whose} has {left} of {budget.limit} left",
                budget=budget,
                why=f"{budget.spent} is spent, {budget.reserved} reserved by calls that run",
                hint="wait for the next period, or raise the budget",
            )
    if max_cost is not None:
        return max_cost
    return _least(standing) or _ZERO
