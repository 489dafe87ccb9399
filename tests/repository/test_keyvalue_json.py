"""What goes into a key comes out of it, whichever engine keeps it."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datalayer.store import Store

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
numbers = st.one_of(
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [1e16, -1e16, 1.5e300, 1.7976931348623157e308, 5e-324, -0.0, 1e-7, 0.1, 123456789012345680.0]
    ),
)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
in_a_store = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def is_same(left: Any, right: Any) -> bool:
    """Equality that tells 1, 1.0 and true apart; negative zero is zero, the order of keys counts not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return bool(left == right) and str(left + 0 if isinstance(left, float) else left) == str(right)


@in_a_store
@given(document=documents)
@example(document={"1e+16": "-0.0", 'a"1e+16': [1e16, "\\", '"1e+20"', -0.0]})
def test_a_document_comes_back_as_it_went_in(store: Store, document: Any) -> None:
    store.kv.set("a", document)

    assert is_same(document, store.kv.get("a"))


@in_a_store
@given(document=documents)
def test_a_document_equals_itself_for_compare_and_set(store: Store, document: Any) -> None:
    store.kv.set("a", document)

    assert store.kv.compare_and_set("a", store.kv.get("a"), document)
    assert store.kv.compare_and_delete("a", document)


@in_a_store
@given(one=documents, other=documents)
def test_compare_and_set_finds_what_differs(store: Store, one: Any, other: Any) -> None:
    store.kv.set("a", one)

    assert store.kv.compare_and_set("a", other, None) is equal_as_json(one, other)


def equal_as_json(left: Any, right: Any) -> bool:
    """The rule in words: numbers by value, true is no number, an object is a set of pairs."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal_as_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal_as_json, left, right))
    return (type(left) in (int, float) and type(right) in (int, float) and left == right) or (
        type(left) is type(right) and left == right
    )
