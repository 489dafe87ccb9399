"""Fields: one stored form for each value, on every engine."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.errors import CheckViolation, DataLayerError
from datalayer.repository.fields import decode_json, decode_utc, encode_json, encode_utc, new_id

zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-14 * 60, 14 * 60))
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001 - bounds


@given(moment=moments)
def test_a_time_comes_back_as_the_same_moment_in_utc(moment: datetime) -> None:
    stored = encode_utc(moment)

    assert len(stored) == 27
    assert decode_utc(stored) == moment
    assert decode_utc(stored).tzinfo is UTC


@given(one=moments, other=moments)
def test_stored_times_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (encode_utc(one) < encode_utc(other)) == (one < other)


@pytest.mark.parametrize("wrong", [datetime(2026, 1, 1), "2026-01-01T00:00:00Z", 0, None])  # noqa: DTZ001 - the point
def test_only_aware_times_are_taken(wrong: object) -> None:
    with pytest.raises(CheckViolation):
        encode_utc(wrong)


def test_a_stored_text_that_is_no_time_is_an_error() -> None:
    with pytest.raises(DataLayerError, match="cannot be read"):
        decode_utc("yesterday")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(value=json_values)
def test_json_comes_back_equal(value: object) -> None:
    assert decode_json(encode_json(value)) == value


def test_ids_sort_by_creation_also_among_threads() -> None:
    batches: list[list[str]] = []

    def make() -> None:
        batches.append([new_id() for _ in range(2_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(batch == sorted(batch) for batch in batches)
    everything = [each for batch in batches for each in batch]
    assert len(set(everything)) == len(everything)


def test_an_id_is_a_uuid_of_version_seven() -> None:
    from uuid import UUID

    made = UUID(new_id())

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    age = datetime.now(UTC) - datetime.fromtimestamp((made.int >> 80) / 1000, UTC)
    assert abs(age) < timedelta(minutes=1)
