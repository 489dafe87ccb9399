"""Keys are in the order of their code points on every engine, and a prefix finds all that begin with it."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datalayer.store import Store

ODD = "aAzZ09 _%-/\\'\"\t\n\x7f\x80éÉß\u0301\ud7ff\ue000\ufeff\uffff\U00010000\U0001f600\U0010fffe\U0010ffff"
odd = st.text(st.sampled_from(ODD), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    names=st.sets(odd, max_size=25), prefix=st.text(st.sampled_from(ODD), max_size=2), size=st.integers(1, 7)
)
@example(names={"\ud7ff", "\ud7ffa", "\ue000", "\U0010ffff", "\U0010ffffa"}, prefix="\ud7ff", size=2)
@example(names={"a\U0010ffff", "a\U0010ffffb", "b", "a"}, prefix="a\U0010ffff", size=1)
@example(names={"\U0010ffff", "\U0010ffffa", "z"}, prefix="\U0010ffff", size=1)
def test_a_prefix_finds_what_begins_with_it_in_the_order_of_code_points(
    store: Store, names: set[str], prefix: str, size: int
) -> None:
    keys = store.cache.project("/app")
    keys.clear()
    keys.set_many(dict.fromkeys(names, 0))
    expected = sorted(name for name in names if name.startswith(prefix))

    assert [entry.key for entry in keys.scan(prefix, chunk=size)] == expected
    assert keys.count(prefix) == keys.clear(prefix) == len(expected)
    assert [entry.key for entry in keys.scan()] == sorted(names - set(expected))
