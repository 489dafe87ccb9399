"""Values that both engines store and give back as they are: texts, JSON documents, times, amounts."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["amounts", "json_documents", "moments", "texts"]

# PostgreSQL stores no NUL, and UTF-8 no half of a surrogate pair
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def texts(*, min_size: int = 0, max_size: int | None = 50) -> SearchStrategy[str]:
    """Give texts of any characters that a database can hold."""
    return st.text(_CHARACTERS, min_size=min_size, max_size=max_size)


def json_documents(*, max_leaves: int = 5) -> SearchStrategy[Any]:
    """Give what JSON can hold: null, booleans, numbers, texts, and lists and objects of these."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(-(10.0**15), 10.0**15)
        | texts(max_size=10)
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=10), inner, max_size=3),
        max_leaves=max_leaves,
    )


def moments() -> SearchStrategy[datetime]:
    """Give times between 2000 and 2100, in UTC."""
    first, last = datetime(2000, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - bounds have no zone
    return st.datetimes(first, last, timezones=st.just(UTC))


def amounts(least: Decimal | int = 0, most: Decimal | int = 1_000) -> SearchStrategy[Decimal]:
    """Give amounts of money with six decimals."""
    return st.decimals(least, most, places=6, allow_nan=False, allow_infinity=False)
