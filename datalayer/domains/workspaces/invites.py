"""Invites to threads: made with a token, viewed, accepted once, declined, expired."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import peewee

from datalayer.domains.workspaces.inbox import Inbox
from datalayer.domains.workspaces.thread_model import (
    Candidate,
    InviteView,
    NewInvite,
    Thread,
    ThreadInvite,
    ThreadParticipant,
)
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc, new_id
from datalayer.repository.secrets import new_token, token_hash

__all__ = ["ACCEPTED", "INVITE_HOURS", "MOST_INVITES", "Invites"]

INVITE_HOURS = 72.0
MOST_INVITES = 10
ACCEPTED = "thread_invite_accepted"
_TOKEN_LENGTH = 32
# as both engines fold here: the letters of ASCII alone
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class Invites(Repository[ThreadInvite]):
    """`store.workspaces.invites`: how strangers come into a thread.

    A token has 32 characters from a cryptographic source and is given once, when the invite is made; the
    column `token` holds its hash, so that a copy of the database opens no thread. That an invite is used
    once, and before it expires, is a rule of the database. A thread has at most `most_per_thread` invites
    that are pending or accepted.
    """

    def __init__(
        self,
        engine: Engine,
        model: type[ThreadInvite] | None = None,
        *,
        data_dir: Path | None = None,
        most_per_thread: int = MOST_INVITES,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.most_per_thread = most_per_thread
        self._threads = Repository(engine, Thread)
        self._participants = Repository(engine, ThreadParticipant)
        self._inbox = Inbox(engine)
        dialect = engine.dialect
        due = (
            f"SELECT invite.id FROM {dialect.by_index('thread_invites', 'invite', 'thread_invites_due')}"
            " WHERE invite.status = 'pending' AND invite.expires_at <= ?"
            f" ORDER BY invite.expires_at, invite.id LIMIT ?{dialect.row_lock_skip}"
        )
        self._expire_sql = dialect.sql(
            f"UPDATE {self.shape.table} SET status = 'expired' WHERE {dialect.in_few('id', due)}"
        )

    # -- making ------------------------------------------------------------------------------------

    def invite(
        self,
        user_id: str,
        thread_id: str,
        candidates: Iterable[Candidate],
        *,
        expires_in: timedelta = timedelta(hours=INVITE_HOURS),
    ) -> list[NewInvite]:
        """Invite people to a thread of one's own, all or none, and give the invites with their tokens.

        Raises:
            NotFound: the user has no such thread.
            InvalidTransition: the thread is archived or deleted.
            CheckViolation: more than `most_per_thread`, a name or an address is empty, or `expires_in` is
                not positive.
        """
        with self.engine.transaction():
            thread = self._threads.for_update().one(id=thread_id, user_id=user_id)
            _refuse_unless_active(thread, "pending")
            return self.make(thread_id, candidates, expires_in)

    def make(self, thread_id: str, candidates: Iterable[Candidate], expires_in: timedelta) -> list[NewInvite]:
        """Make invites to a thread that the caller's transaction has locked or just added.

        Raises:
            CheckViolation: as `invite`.
        """
        given = list(candidates)
        now = self.engine.clock()
        taken = self.count(thread_id=thread_id, status=["pending", "accepted"]) if given else 0
        if taken + len(given) > self.most_per_thread:
            raise CheckViolation(
                f"a thread has at most {self.most_per_thread} invites",
                table="thread_invites",
                why=f"{taken} are pending or accepted, and {len(given)} more are asked for",
            )
        return [self._make_one(thread_id, candidate, now, now + expires_in) for candidate in given]

    def _make_one(
        self, thread_id: str, candidate: Candidate, now: datetime, expires_at: datetime
    ) -> NewInvite:
        token = new_token(_TOKEN_LENGTH)
        invite = self.add(
            id=new_id(),
            thread_id=thread_id,
            token=token_hash(token),
            email=candidate.email.strip(),
            candidate_name=candidate.name.strip(),
            candidate_reason=candidate.reason,
            expires_at=expires_at,
            created_at=now,
        )
        return NewInvite(invite, token)

    # -- by token ----------------------------------------------------------------------------------

    def view(self, token: str) -> InviteView:
        """Give what the page of an invite shows, whatever became of it.

        Raises:
            NotFound: no invite has this token, or the thread is deleted.
        """
        invite = self._by_token(token)
        thread = self._threads.get(invite.thread_id)
        if thread.status == "deleted":
            raise _unknown_token()
        is_over = invite.status == "pending" and invite.expires_at <= self.engine.clock()
        status = "expired" if is_over else invite.status
        return InviteView(
            thread.title,
            thread.description,
            invite.candidate_name,
            invite.candidate_reason,
            status,
            invite.expires_at,
            status == "pending" and thread.status == "active",
        )

    def accept(self, token: str, *, user_id: str | None = None) -> ThreadParticipant:
        """Accept an invite and give the participant that it makes, or that was there already.

        Exactly once, however many try at the same time: in one transaction the invite is used up, the
        participant added (`user_id` is None for somebody without an account) and a notice of the kind
        `thread_invite_accepted` put into the inbox of the thread's owner.

        Raises:
            NotFound: no invite has this token.
            InvalidTransition: it is accepted, declined or expired, or the thread is not active.
            ForeignKeyViolation: there is no such user.
        """
        with self.engine.transaction():
            # the thread first: who deletes it locks it before its invites
            thread = self._threads.for_update().get(self._by_token(token).thread_id)
            _refuse_unless_active(thread, "accepted")
            now = self.engine.clock()
            invite = self._use_up(token, "accepted", {"accepted_at": now})
            participant = self._take_in(thread, invite, user_id, now)
            self._inbox.notify(
                thread.user_id,
                ACCEPTED,
                f"{invite.candidate_name} accepted your invitation to {thread.title}",
                data={"thread_id": thread.id, "invite_id": invite.id, "participant_id": participant.id},
            )
            return participant

    def decline(self, token: str) -> None:
        """Decline an invite.

        Raises:
            NotFound: no invite has this token.
            InvalidTransition: it is accepted, declined or expired.
        """
        with self.engine.transaction():
            self._use_up(token, "declined", {})

    # -- looking and expiring ----------------------------------------------------------------------

    def of_thread(self, user_id: str, thread_id: str) -> list[ThreadInvite]:
        """Give the invites of a thread of one's own, the newest first.

        Raises:
            NotFound: the user has no such thread.
        """
        self._threads.one(id=thread_id, user_id=user_id)
        return self.find(thread_id=thread_id, order_by="-id")

    def expire_due(self, *, batch: int = 500) -> int:
        """Mark the pending invites whose time is over as expired, `batch` a statement; give their number.

        Nothing waits for it: an invite whose time is over is refused before it is marked.
        """
        now = encode_utc(self.engine.clock())
        count = 0
        while expired := self._write(self._expire_sql, (now, batch)):
            count += expired
        return count

    # -- pieces ------------------------------------------------------------------------------------

    def _by_token(self, token: str) -> ThreadInvite:
        found = self.one_or_none(token=token_hash(token))
        if found is None:
            raise _unknown_token()
        return found

    def _use_up(self, token: str, status: str, changes: dict[str, Any]) -> ThreadInvite:
        """Move a pending invite whose time is not over; who comes second finds it moved."""
        done = self.update_where(
            ThreadInvite.expires_at > self.engine.clock(),
            token=token_hash(token),
            status="pending",
            changes={"status": status, **changes},
        )
        invite = self._by_token(token)
        if not done:
            current = "expired" if invite.status == "pending" else str(invite.status)
            raise InvalidTransition(
                f"invite {invite.id!r} is {current}",
                current=current,
                wanted=status,
                hint="ask the owner of the thread for another one",
            )
        return invite

    def _take_in(
        self, thread: Thread, invite: ThreadInvite, user_id: str | None, now: datetime
    ) -> ThreadParticipant:
        """Give the participant of a user or an address, added where there is none; the thread is locked."""
        if user_id is not None:
            present = self._participants.one_or_none(thread_id=thread.id, user_id=user_id)
            if present is not None:
                return present
        same_address: Any = peewee.fn.LOWER(ThreadParticipant.email) == invite.email.translate(_LOWER)
        known = self._participants.one_or_none(same_address, thread_id=thread.id)
        if known is not None and (user_id is None or known.user_id is None):
            self._participants.update(known, user_id=user_id or known.user_id)
            return known
        # an address that came in with another user stays with that one
        email = invite.email if known is None else None
        return self._participants.add(
            id=new_id(), thread_id=thread.id, user_id=user_id, email=email, joined_at=now
        )


def _refuse_unless_active(thread: Thread, wanted: str) -> None:
    if thread.status != "active":
        raise InvalidTransition(
            f"thread {thread.id!r} is {thread.status}",
            current=str(thread.status),
            wanted=wanted,
            why="only an active thread takes participants in",
        )


def _unknown_token() -> NotFound:
    return NotFound("no invite has this token")
