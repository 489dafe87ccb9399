"""From when on a budget counts."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from datalayer.domains.workspaces.ai_cost_model import BudgetPeriod, period_start
from datalayer.testing.strategies.values import moments

PERIODS: list[BudgetPeriod] = ["daily", "monthly"]


@given(now=moments(), period=st.sampled_from(PERIODS))
def test_a_period_holds_now_and_begins_at_midnight(now: datetime, period: BudgetPeriod) -> None:
    start = period_start(period, now)

    assert start <= now < start + timedelta(days=1 if period == "daily" else 31)
    assert (start.hour, start.minute, start.second, start.microsecond) == (0, 0, 0, 0)
    assert period_start("total", now) < start
