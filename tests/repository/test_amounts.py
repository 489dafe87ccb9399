"""Amounts of money: exact on every engine, whatever the caller's decimal context."""

from __future__ import annotations

import decimal
from decimal import Decimal

import peewee
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation
from datalayer.repository.base import Repository
from datalayer.repository.fields import MicrosField, decode_micros, encode_micros
from datalayer.repository.mixins import Model

amounts = st.decimals(-999_999_999_999, 999_999_999_999, places=6)


class Bill(Model):
    total = MicrosField(null=True)

    class Meta:
        table_name = "bill"


@given(amount=amounts)
def test_an_amount_comes_back_equal_and_with_six_decimals(amount: Decimal) -> None:
    found = decode_micros(encode_micros(amount))

    assert found == amount
    assert found.as_tuple().exponent == -6


@given(amount=amounts)
def test_the_callers_precision_does_not_matter(amount: Decimal) -> None:
    with decimal.localcontext(prec=2):
        found = decode_micros(encode_micros(amount))

    assert found == amount


@pytest.mark.parametrize(
    "wrong",
    [0.1, True, "1.5", Decimal("NaN"), Decimal("Infinity"), Decimal("1e12"), 10**12, Decimal("1e999999")],
)
def test_what_is_no_exact_amount_is_refused(wrong: object) -> None:
    with pytest.raises(CheckViolation):
        encode_micros(wrong)


@pytest.mark.parametrize("fine", ["0.0000001", "1.0000001", "1e-999999"])
def test_a_seventh_decimal_is_refused_rather_than_rounded(fine: str) -> None:
    with pytest.raises(CheckViolation, match="six decimals"):
        encode_micros(Decimal(fine))


def test_zeros_beyond_the_sixth_decimal_are_no_decimals() -> None:
    assert encode_micros(Decimal("1.50000000")) == 1_500_000
    assert encode_micros(Decimal("0E-20")) == 0
    assert encode_micros(3) == 3_000_000


def test_an_amount_is_an_integer_in_the_database(engine: Engine) -> None:
    engine.peewee.create_tables([Bill])
    bills: Repository[Bill] = Repository(engine, Bill)
    assert isinstance(Bill.total, peewee.Field)

    bills.add(total=Decimal("0.1"))
    bills.add(total=Decimal("0.2"))
    bills.add(total=None)

    assert engine.fetch_one("SELECT SUM(total) FROM bill") == (300_000,)
    assert [one.total for one in bills.find(order_by="id")] == [Decimal("0.1"), Decimal("0.2"), None]
    assert bills.count(total=Decimal("0.1")) == 1
