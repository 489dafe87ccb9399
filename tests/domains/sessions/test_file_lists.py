"""The two lists against two sets: whatever is done in whatever order, they agree and share nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer.domains.sessions import Session
from datalayer.store import Store

some_paths = st.lists(st.sampled_from(["a", "A", "b/c", "é", "%", "\U0001f600"]), max_size=4)
steps = st.lists(
    st.tuples(st.sampled_from(["include", "exclude", "forget", "replace", "save"]), some_paths, some_paths),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=steps)
def test_lists_follow_their_sets(store: Store, steps: list[tuple[str, list[str], list[str]]]) -> None:
    session = store.sessions.save(Session(name="n", project_directory="/app")).session
    included: set[str] = set()
    excluded: set[str] = set()
    for verb, paths, others in steps:
        given_set = set(paths)
        if verb == "include":
            assert store.sessions.include(session.id, paths) == len(given_set - included)
            included |= given_set
            excluded -= given_set
        elif verb == "exclude":
            assert store.sessions.exclude(session.id, paths) == len(given_set - excluded)
            excluded |= given_set
            included -= given_set
        elif verb == "forget":
            assert store.sessions.forget_files(session.id, paths) == len(given_set & (included | excluded))
            included -= given_set
            excluded -= given_set
        else:
            left_out = [path for path in others if path not in given_set]
            if verb == "replace":
                store.sessions.replace_files(session.id, paths, left_out)
            else:
                store.sessions.save(session, paths, left_out)
            included, excluded = given_set, set(left_out)

        found = store.sessions.get_with_files(session.id)
        assert found.included_files == tuple(sorted(included))
        assert found.excluded_files == tuple(sorted(excluded))
