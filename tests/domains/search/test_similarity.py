"""Documents by what they mean: the nearest first, the same on every engine, with pgvector and without."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datalayer.errors import CheckViolation, DataLayerError, NotFound
from datalayer.store import Store, connect

VECTORS = {"east": [1.0, 0.0], "north": [0.0, 2.0], "west": [-3.0, 0.0], "north-east": [1.0, 1.0]}


@pytest.fixture
def ann(store: Store) -> str:
    return store.accounts.sign_up("ann@example.org").id


def write(store: Store, user_id: str, name: str, vector: list[float] | None, category: str = "way") -> str:
    document = store.sandboxes.knowledge.create(user_id, category, name, title=name)
    if vector is not None:
        store.sandboxes.knowledge.set_embedding(document.id, vector, version=document.version)
    return document.id


def test_the_nearest_come_first(store: Store, ann: str) -> None:
    keys = {name: write(store, ann, name, vector) for name, vector in VECTORS.items()}
    write(store, ann, "not embedded", None)
    write(store, ann, "of other dimensions", [1.0, 0.0, 0.0])
    write(store, store.accounts.sign_up("bob@example.org").id, "another user's", [1.0, 0.0])

    found = store.search.similar([2.0, 0.0], user_id=ann)

    assert [one.title for one in found] == ["east", "north-east", "north", "west"]
    assert [one.similarity for one in found] == [1.0, round(math.sqrt(0.5), 6), 0.0, -1.0]
    assert [one.title for one in store.search.similar_to(keys["north"], user_id=ann, limit=1)] == [
        "north-east"
    ]
    assert store.search.similar([2.0, 0.0], user_id=ann, category="other") == []


def test_another_user_s_document_is_not_found(store: Store, ann: str) -> None:
    key = write(store, store.accounts.sign_up("bob@example.org").id, "east", [1.0, 0.0])

    with pytest.raises(NotFound):
        store.search.similar_to(key, user_id=ann)
    assert store.search.similar_to(write(store, ann, "x", None), user_id=ann) == []


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [math.nan], [math.inf, 1.0]])
def test_a_vector_without_direction_is_refused(store: Store, ann: str, vector: list[float]) -> None:
    with pytest.raises(CheckViolation):
        store.search.similar(vector, user_id=ann)


def test_a_database_without_pgvector_says_so() -> None:
    with connect(":memory:") as store, pytest.raises(DataLayerError, match="no pgvector"):
        store.search.enable_pgvector()


@pytest.mark.slow
def test_pgvector_gives_the_same_answer(postgres_database: str) -> None:
    with connect(postgres_database) as store:
        store.migrate()
        ann = store.accounts.sign_up("ann@example.org").id
        numbers = st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3).filter(any)
        cases: list[list[float]] = []

        @settings(max_examples=25, database=None)
        @given(numbers)
        def collect(vector: list[float]) -> None:
            cases.append(vector)

        collect()
        keys = [write(store, ann, str(number), vector) for number, vector in enumerate(cases)]
        exact = [store.search.similar(vector, user_id=ann, limit=5) for vector in cases]
        store.search.enable_pgvector()

        assert [store.search.similar(vector, user_id=ann, limit=5) for vector in cases] == exact
        # a changed vector is seen by the next search
        document = store.sandboxes.knowledge.edit(keys[0], user_id=ann, content="other")
        store.sandboxes.knowledge.set_embedding(keys[0], [1.0, 2.0, 3.0], version=document.version)
        nearest = store.search.similar([1.0, 2.0, 3.0], user_id=ann)
        assert (keys[0], 1.0) in [(one.document_id, one.similarity) for one in nearest]
        store.sandboxes.knowledge.delete_own(keys[0], user_id=ann)
        assert keys[0] not in {one.document_id for one in store.search.similar([1.0, 2.0, 3.0], user_id=ann)}
        assert [one.id for one in store.check() if one.severity != "info"] == []
