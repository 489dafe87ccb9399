"""Eight processes at the same invites, pairs, workspaces, deliveries and threads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clock import Clock
from support.processes import run_together

from datalayer.domains.workspaces import Candidate, NewThread
from datalayer.store import Store, connect
from datalayer.testing.strategies.workspaces import make_thread, make_workspace

pytestmark = pytest.mark.slow

WORKERS = "domains.workspaces.workspace_workers"
USERS = [f"user{number}" for number in range(8)]
RING = list(zip(USERS[:4], [*USERS[1:4], USERS[0]], strict=True))
STATUSES = ("sent", "delivered", "read", "sent") * 2

Found = Sequence[dict[str, Any]]


class Contest:
    """What the processes work at, each with steps of its own, and what must have come of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.spaces = store.workspaces
        for user in USERS:
            store.engine.write(f"INSERT INTO users (id) VALUES ('{user}')")
        self.open = make_thread(store, user_id="user0", invited=8)
        self.late = self.late_thread(30)
        self.full = make_thread(store, user_id="user0", invited=7)
        for user, one in zip(USERS[1:], self.full.invites, strict=True):
            self.spaces.invites.accept(one.token, user_id=user)
        self.voices = self.spaces.threads.participants_of("user0", self.full.thread.id)
        self.spaces.inbox.mark_all_read("user0")
        self.receipts = [self.hello() for _ in range(12)]
        self.teams = [make_workspace(store, owner_id="user0").id for _ in range(6)]
        for team in self.teams:
            for user in USERS[1:]:
                self.spaces.members.join(team, user, "owner")

    def late_thread(self, invited: int) -> NewThread:
        self.spaces.invites.most_per_thread = invited
        self.store.engine.clock = Clock(datetime.now(UTC) - timedelta(hours=73))
        people = [Candidate(str(number), f"{number}@example.org") for number in range(invited)]
        made = self.spaces.threads.create("user0", "Late", people)
        self.store.engine.clock = lambda: datetime.now(UTC)
        return made

    def hello(self) -> str:
        """Post a message in a thread of two, and give the one delivery."""
        made = make_thread(self.store, user_id="user0", invited=0)
        self.spaces.threads.participants.add(
            thread_id=made.thread.id, email="e", joined_at=made.thread.created_at
        )
        ours = self.spaces.threads.participant_of("user0", made.thread.id)
        return self.spaces.messages.post(ours.id, "Hi").deliveries[0].id

    def steps(self, number: int) -> list[tuple[str, list[Any]]]:
        """Give the steps of one process."""
        tokens = [one.token for one in self.open.invites]
        late = [one.token for one in self.late.invites]
        ring = RING if number % 2 else [(asked, asking) for asking, asked in RING]
        # the two insert into the two tables in turn, every other process beginning with the other one
        raw = [*([USERS[4:6]] if number % 2 else []), *(pair for pair in PAIRS for _ in range(2))]
        return [
            ("accept_all", [tokens + late[:3], USERS[number]]),
            ("expire", [4]),
            ("ask_turned", [ring * 2]),
            ("ask_raw", [f"p{number}-", raw]),
            ("leave_together", [self.teams, USERS[number]]),
            ("move_deliveries", [self.receipts, STATUSES[number]]),
            ("post", [self.voices[number].id, 3]),
        ]


PAIRS = [(first, second) for first in USERS[4:] for second in USERS[4:] if first < second]


def test_eight_processes_break_no_promise(database: str) -> None:
    with connect(database) as store:
        contest = Contest(store)
        arguments = [(database, contest.steps(number)) for number in range(len(USERS))]

        found = run_together(WORKERS, "work", arguments)

        invites_were_accepted_exactly_once(contest, found)
        invites_expired_once(contest, found)
        pairs_are_related_once(contest, found)
        workspaces_kept_an_owner(contest, found)
        deliveries_did_not_go_back(contest)
        everybody_got_every_message(contest, found)
        assert store.check(with_schema=False) == []


def invites_were_accepted_exactly_once(contest: Contest, found: Found) -> None:
    spaces, thread_id = contest.spaces, contest.open.thread.id
    used = [one["accept_all"] for one in found]
    assert sum(used) == len(contest.open.invites)
    assert {one.status for one in spaces.invites.of_thread("user0", thread_id)} == {"accepted"}
    told = [item.data["invite_id"] for item in spaces.inbox.page_unread("user0").items]
    assert sorted(told) == sorted(one.invite.id for one in contest.open.invites)
    members = {one.user_id for one in spaces.threads.participants_of("user0", thread_id)}
    assert members == {user for user, count in zip(USERS, used, strict=True) if count} | {"user0"}


def invites_expired_once(contest: Contest, found: Found) -> None:
    assert sum(one["expire"] for one in found) == len(contest.late.invites)
    statuses = {one.status for one in contest.spaces.invites.of_thread("user0", contest.late.thread.id)}
    assert statuses == {"expired"}


def pairs_are_related_once(contest: Contest, found: Found) -> None:
    relationships = contest.spaces.relationships
    ring = list(USERS[:4])
    requests = relationships.requests.find(user_id=ring)
    accepted = [one for one in requests if one.status == "accepted"]
    assert sum(one["ask_turned"]["asked"] for one in found) == len(requests)
    assert sum(one["ask_turned"]["accepted"] for one in found) == len(accepted)
    assert relationships.count(user_id=ring) == len(accepted)
    # by plain SQL each of the other pairs has one of the two
    asked = relationships.requests.count(user_id=USERS[4:])
    assert relationships.count(user_id=USERS[4:]) + asked == len(PAIRS)
    assert sum(one["ask_raw"] for one in found) == len(PAIRS)


def workspaces_kept_an_owner(contest: Contest, found: Found) -> None:
    assert sum(one["leave_together"] for one in found) == len(contest.teams)
    owned = [one.workspace_id for one in contest.spaces.members.find(role="owner")]
    assert sorted(owned) == sorted(contest.teams)


def deliveries_did_not_go_back(contest: Contest) -> None:
    found = contest.spaces.messages.deliveries.find(id=contest.receipts)
    assert {one.status for one in found} == {"read"}


def everybody_got_every_message(contest: Contest, found: Found) -> None:
    others = len(USERS) - 1
    assert [one["post"] for one in found] == [3 * others] * len(USERS)
    for one in contest.voices:
        assert contest.spaces.messages.unread_count(one.id) == 3 * others
