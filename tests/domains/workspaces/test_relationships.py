"""Relationships: asked for, accepted, declined, taken back and ended, the same in both directions."""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, InvalidTransition, NotFound, UniqueViolation
from datalayer.store import Store


@pytest.mark.parametrize("turned", [False, True])
def test_a_request_that_is_accepted_makes_one_relationship_for_both(
    store: Store, ann: str, ben: str, clock: Clock, turned: bool
) -> None:
    relationships = store.workspaces.relationships
    asking, asked = (ben, ann) if turned else (ann, ben)
    request = relationships.request(asking, asked, message="We met")
    assert [one.id for one in relationships.incoming(asked).items] == [request.id]
    assert [one.message for one in relationships.outgoing(asking).items] == ["We met"]

    made = relationships.accept(asked, request.id)

    assert (made.user_id, made.related_user_id) == (ann, ben)
    assert (made.other(ann), made.other(ben)) == (ben, ann)
    assert relationships.are_related(ann, ben) and relationships.are_related(ben, ann)
    assert relationships.page_for(ann).items == relationships.page_for(ben).items
    decided = relationships.requests.get(request.id)
    assert (decided.status, decided.decided_at) == ("accepted", clock.now)
    assert relationships.incoming(asked).items == ()


def test_of_two_users_one_asks_at_a_time(store: Store, ann: str, ben: str) -> None:
    relationships = store.workspaces.relationships
    request = relationships.request(ann, ben)

    for pair in ((ann, ben), (ben, ann)):
        with pytest.raises(UniqueViolation):
            relationships.request(*pair)
    relationships.decline(ben, request.id)
    relationships.accept(ann, relationships.request(ben, ann).id)
    for pair in ((ann, ben), (ben, ann)):
        with pytest.raises(CheckViolation) as caught:
            relationships.request(*pair)
        assert caught.value.constraint == "relationship_requests_not_related"
    with pytest.raises(CheckViolation, match="themselves"):
        relationships.request(ann, ann)
    with pytest.raises(ForeignKeyViolation):
        relationships.request(ann, "nobody")


def test_a_request_is_decided_once_by_whom_it_concerns(store: Store, ann: str, ben: str, cleo: str) -> None:
    relationships = store.workspaces.relationships
    request = relationships.request(ann, ben)

    for deciding in (
        lambda: relationships.accept(ann, request.id),
        lambda: relationships.accept(cleo, request.id),
        lambda: relationships.decline(ann, request.id),
        lambda: relationships.cancel(ben, request.id),
        lambda: relationships.accept(ben, "nothing"),
    ):
        with pytest.raises(NotFound):
            deciding()
    relationships.cancel(ann, request.id)
    for deciding in (
        lambda: relationships.accept(ben, request.id),
        lambda: relationships.decline(ben, request.id),
        lambda: relationships.cancel(ann, request.id),
    ):
        with pytest.raises(InvalidTransition) as caught:
            deciding()
        assert caught.value.current == "cancelled"
    assert relationships.count() == 0


def test_either_ends_a_relationship_and_may_ask_again(store: Store, ann: str, ben: str) -> None:
    relationships = store.workspaces.relationships
    relationships.accept(ben, relationships.request(ann, ben).id)

    relationships.remove(ben, ann)

    assert not relationships.are_related(ann, ben)
    with pytest.raises(NotFound):
        relationships.remove(ann, ben)
    relationships.accept(ann, relationships.request(ben, ann).id)
    assert relationships.count() == 1


def test_relationships_come_by_pages_the_newest_first(store: Store, ann: str, ben: str, cleo: str) -> None:
    relationships = store.workspaces.relationships
    for other in (ben, cleo):
        relationships.accept(other, relationships.request(ann, other).id)

    first = relationships.page_for(ann, size=1)
    second = relationships.page_for(ann, size=1, after=first.next)
    assert [one.other(ann) for one in (*first.items, *second.items)] == [cleo, ben]
    assert second.next is None
