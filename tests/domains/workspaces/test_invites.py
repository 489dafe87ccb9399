"""Invites: a token that is given once and opens a thread once."""

from __future__ import annotations

import string
from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, InvalidTransition, NotFound
from datalayer.domains.workspaces import Candidate, NewThread
from datalayer.repository.secrets import token_hash
from datalayer.store import Store
from datalayer.testing.strategies.workspaces import make_thread

BEN = Candidate("Ben", "Ben@Example.org", "sails too")


def test_tokens_have_32_characters_and_are_stored_as_hashes(store: Store, ann: str) -> None:
    made = make_thread(store, user_id=ann, invited=3)

    tokens = [one.token for one in made.invites]
    assert len(set(tokens)) == 3
    assert {len(token) for token in tokens} == {32}
    assert set("".join(tokens)) <= set(string.ascii_letters + string.digits + "-_")
    stored = store.engine.fetch_all("SELECT token FROM thread_invites")
    assert {row[0] for row in stored} == {token_hash(token) for token in tokens}
    assert tokens[0] not in repr(made) + repr(made.invites[0].invite.__data__)


def test_an_invite_shows_what_its_page_needs(store: Store, ann: str, clock: Clock) -> None:
    made = store.workspaces.threads.create(ann, "Sailing", [BEN], description="At sea")
    seen = store.workspaces.invites.view(made.invites[0].token)

    assert (seen.title, seen.description, seen.candidate_name) == ("Sailing", "At sea", "Ben")
    assert (seen.candidate_reason, seen.status, seen.is_open) == ("sails too", "pending", True)
    assert seen.expires_at == clock.now + timedelta(hours=72)
    for unknown in ("", "x" * 32, token_hash(made.invites[0].token)):
        with pytest.raises(NotFound, match="this token"):
            store.workspaces.invites.view(unknown)


def test_who_accepts_takes_part_and_the_owner_is_told(
    store: Store, talk: NewThread, ann: str, ben: str, clock: Clock
) -> None:
    spaces, token = store.workspaces, talk.invites[0].token
    participant = spaces.invites.accept(token, user_id=ben)

    assert (participant.thread_id, participant.user_id, participant.role) == (talk.thread.id, ben, "member")
    assert (participant.email, participant.joined_at) == ("guest0@example.org", clock.now)
    (item,) = spaces.inbox.page_unread(ann).items
    assert (item.kind, item.title) == (
        "thread_invite_accepted",
        "Guest 0 accepted your invitation to Thread",
    )
    assert item.data == {
        "thread_id": talk.thread.id,
        "invite_id": talk.invites[0].invite.id,
        "participant_id": participant.id,
    }
    assert spaces.invites.get(talk.invites[0].invite.id).accepted_at == clock.now
    assert spaces.threads.get_for(ben, talk.thread.id).id == talk.thread.id


def test_an_invite_is_used_once(store: Store, talk: NewThread, ann: str, ben: str) -> None:
    invites, token = store.workspaces.invites, talk.invites[0].token
    invites.accept(token, user_id=ben)

    for again in (lambda: invites.accept(token, user_id=ann), lambda: invites.decline(token)):
        with pytest.raises(InvalidTransition) as caught:
            again()
        assert caught.value.current == "accepted"
    assert invites.view(token).status == "accepted"
    assert not invites.view(token).is_open
    assert store.workspaces.threads.participants.count() == 2
    assert store.workspaces.inbox.count() == 1


def test_a_declined_invite_stays_declined(store: Store, talk: NewThread, ben: str) -> None:
    invites, token = store.workspaces.invites, talk.invites[0].token
    invites.decline(token)

    with pytest.raises(InvalidTransition) as caught:
        invites.accept(token, user_id=ben)
    assert (caught.value.current, caught.value.wanted) == ("declined", "accepted")
    for call in (invites.accept, invites.decline, invites.view):
        with pytest.raises(NotFound):
            call("unknown")


def test_time_is_over_from_its_first_instant_on(store: Store, ann: str, ben: str, clock: Clock) -> None:
    invites = store.workspaces.invites
    made = store.workspaces.threads.create(ann, "Sailing", [BEN, BEN], expires_in=timedelta(seconds=60))
    first, second = (one.token for one in made.invites)
    clock.move(59.999999)
    invites.accept(first, user_id=ben)
    clock.move(0.000001)

    seen = invites.view(second)
    assert (seen.status, seen.is_open) == ("expired", False)
    for late in (lambda: invites.accept(second), lambda: invites.decline(second)):
        with pytest.raises(InvalidTransition) as caught:
            late()
        assert caught.value.current == "expired"
    assert invites.get(made.invites[1].invite.id).status == "pending"


def test_due_invites_expire_in_batches(store: Store, ann: str, clock: Clock) -> None:
    invites = store.workspaces.invites
    made = make_thread(store, user_id=ann, invited=6)
    invites.decline(made.invites[0].token)
    assert invites.expire_due(batch=2) == 0
    clock.move(72 * 3600)
    fresh = make_thread(store, user_id=ann)

    assert invites.expire_due(batch=2) == 5
    assert invites.expire_due(batch=2) == 0
    found = [one.status for one in invites.of_thread(ann, made.thread.id)]
    assert sorted(found) == ["declined", *["expired"] * 5]
    assert invites.view(fresh.invites[0].token).is_open


def test_a_user_takes_part_once_whatever_invites_they_accept(store: Store, ann: str, ben: str) -> None:
    made = store.workspaces.threads.create(ann, "Sailing", [BEN, BEN, Candidate("B", "BEN@example.org")])
    accept, tokens = store.workspaces.invites.accept, [one.token for one in made.invites]
    nobody = accept(tokens[0])
    assert (nobody.user_id, nobody.email) == (None, "Ben@Example.org")

    known = accept(tokens[1], user_id=ben)
    again = accept(tokens[2], user_id=ben)

    assert (known.id, known.user_id, again.id) == (nobody.id, ben, nobody.id)
    assert store.workspaces.threads.participants.count(thread_id=made.thread.id) == 2


def test_an_address_that_came_with_a_user_brings_another_one_in_apart(
    store: Store, ann: str, ben: str, cleo: str
) -> None:
    made = store.workspaces.threads.create(ann, "Sailing", [BEN, BEN])
    accept, tokens = store.workspaces.invites.accept, [one.token for one in made.invites]
    first, second = accept(tokens[0], user_id=ben), accept(tokens[1], user_id=cleo)

    assert (first.user_id, second.user_id, second.email) == (ben, cleo, None)


def test_what_fails_leaves_the_invite_open(store: Store, talk: NewThread) -> None:
    invites, token = store.workspaces.invites, talk.invites[0].token
    with pytest.raises(ForeignKeyViolation):
        invites.accept(token, user_id="nobody")

    assert invites.view(token).is_open
    assert store.workspaces.inbox.count() == 0


def test_a_thread_that_is_not_active_takes_nobody_in(
    store: Store, talk: NewThread, ann: str, ben: str
) -> None:
    invites, token = store.workspaces.invites, talk.invites[0].token
    store.workspaces.threads.archive(ann, talk.thread.id)
    with pytest.raises(InvalidTransition) as caught:
        invites.accept(token, user_id=ben)
    assert caught.value.current == "archived"
    assert not invites.view(token).is_open
    with pytest.raises(InvalidTransition):
        invites.invite(ann, talk.thread.id, [BEN])

    store.workspaces.threads.discard(ann, talk.thread.id)

    assert [one.status for one in invites.find()] == ["expired"]
    with pytest.raises(NotFound):
        invites.view(token)
    with pytest.raises(InvalidTransition):
        invites.accept(token)


def test_a_thread_has_so_many_invites(store: Store, talk: NewThread, ann: str, ben: str) -> None:
    invites = store.workspaces.invites
    invites.most_per_thread = 3
    with pytest.raises(CheckViolation, match="at most 3 invites"):
        store.workspaces.threads.create(ann, "Too many", [BEN] * 4)
    more = invites.invite(ann, talk.thread.id, [BEN, BEN])
    with pytest.raises(CheckViolation, match="at most 3 invites"):
        invites.invite(ann, talk.thread.id, [BEN])
    invites.decline(more[0].token)
    invites.accept(more[1].token, user_id=ben)

    assert len(invites.invite(ann, talk.thread.id, [BEN])) == 1
    assert store.workspaces.threads.count() == 1
    assert len(invites.of_thread(ann, talk.thread.id)) == 4


def test_only_the_owner_invites(store: Store, talk: NewThread, ben: str) -> None:
    invites = store.workspaces.invites
    invites.accept(talk.invites[0].token, user_id=ben)

    with pytest.raises(NotFound):
        invites.invite(ben, talk.thread.id, [BEN])
    with pytest.raises(NotFound):
        invites.of_thread(ben, talk.thread.id)


def test_invites_need_a_name_an_address_and_time(store: Store, ann: str) -> None:
    create = store.workspaces.threads.create
    for candidate in (Candidate(" ", "a@b.org"), Candidate("Ben", "\t")):
        with pytest.raises(CheckViolation, match="given"):
            create(ann, "Sailing", [BEN, candidate])
    with pytest.raises(CheckViolation, match="thread_invites_expires_later"):
        create(ann, "Sailing", [BEN], expires_in=timedelta(0))

    assert store.workspaces.threads.count() + store.workspaces.invites.count() == 0
