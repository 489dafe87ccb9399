"""Threads and who takes part in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from datalayer.domains.workspaces.invites import INVITE_HOURS, Invites
from datalayer.domains.workspaces.model import WorkspaceMember
from datalayer.domains.workspaces.thread_model import (
    Candidate,
    NewThread,
    Thread,
    ThreadInvite,
    ThreadParticipant,
)
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import new_id
from datalayer.repository.page import Page

__all__ = ["Threads"]


class Threads(Repository[Thread]):
    """`store.workspaces.threads`: conversations of an owner with people who were invited.

    Methods that take a user find the threads that the user owns or takes part in, and change only those that
    the user owns. A deleted thread is kept, and found by its key alone.

        made = store.workspaces.threads.create(ann, "Sailing", [Candidate("Ben", "ben@example.org")])
        send(made.invites[0].invite.email, f"https://example.org/i/{made.invites[0].token}")
    """

    def __init__(
        self,
        engine: Engine,
        model: type[Thread] | None = None,
        *,
        data_dir: Path | None = None,
        invites: Invites | None = None,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.participants = Repository(engine, ThreadParticipant)
        self._invites = invites or Invites(engine)
        self._members = Repository(engine, WorkspaceMember)

    def create(
        self,
        user_id: str,
        title: str,
        candidates: Iterable[Candidate] = (),
        *,
        description: str | None = None,
        workspace_id: str | None = None,
        expires_in: timedelta = timedelta(hours=INVITE_HOURS),
    ) -> NewThread:
        """Open a thread with its owner as first participant and an invite for each candidate.

        One transaction. Each invite comes with its token, which cannot be had again.

        Raises:
            NotFound: the user is not in the workspace.
            ForeignKeyViolation: there is no such user.
            CheckViolation: the title, a name or an address is empty, or there are too many candidates
                (`invites.most_per_thread`).
        """
        with self.engine.transaction():
            if workspace_id is not None and not self._members.exists(
                workspace_id=workspace_id, user_id=user_id
            ):
                raise NotFound(f"user {user_id!r} is not in workspace {workspace_id!r}")
            thread = self.add(
                user_id=user_id, title=title, description=description, workspace_id=workspace_id
            )
            self.participants.add(
                id=new_id(),
                thread_id=thread.id,
                user_id=user_id,
                role="owner",
                joined_at=thread.created_at,
            )
            return NewThread(thread, tuple(self._invites.make(thread.id, candidates, expires_in)))

    # -- finding -----------------------------------------------------------------------------------

    def get_for(self, user_id: str, thread_id: str) -> Thread:
        """Give a thread that the user takes part in.

        Raises:
            NotFound: there is none, the user is not in it, or it is deleted.
        """
        return self.one(_seen_by(user_id), id=thread_id)

    def page_for(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[Thread]:
        """Give one page of the threads that the user takes part in, archived ones too, the newest first."""
        return self.page(_seen_by(user_id), order_by="-id", size=size, after=after)

    def participants_of(self, user_id: str, thread_id: str) -> list[ThreadParticipant]:
        """Give who takes part in a thread that the user is in, in the order in which they came.

        Raises:
            NotFound: as `get_for`.
        """
        self.get_for(user_id, thread_id)
        return self.participants.find(thread_id=thread_id, order_by=("joined_at", "id"))

    def participant_of(self, user_id: str, thread_id: str) -> ThreadParticipant:
        """Give the user's own participant, who sends and reads messages.

        Raises:
            NotFound: the user is not in the thread, or it is deleted.
        """
        kept = Thread.select(Thread.id).where(Thread.status != "deleted")
        return self.participants.one(
            ThreadParticipant.thread_id.in_(kept), thread_id=thread_id, user_id=user_id
        )

    # -- changing ----------------------------------------------------------------------------------

    def edit(self, user_id: str, thread_id: str, /, **changes: Any) -> Thread:
        """Change the title or description of a thread of one's own.

        Raises:
            NotFound: the user has no such thread.
            InvalidTransition: it is deleted.
            CheckViolation: another field, or an empty title.
        """
        if other := sorted(changes.keys() - {"title", "description"}):
            raise CheckViolation(
                f"edit() does not change {', '.join(other)}",
                columns=other,
                hint="see archive(), reopen() and discard()",
            )
        with self.engine.transaction():
            if changes:
                self._change(user_id, thread_id, ("active", "archived"), changes)
            return self.one(_seen_by(user_id), id=thread_id, user_id=user_id)

    def archive(self, user_id: str, thread_id: str) -> None:
        """Close a thread of one's own: it is read, and nobody comes in or posts.

        Raises:
            NotFound: the user has no such thread.
            InvalidTransition: it is archived or deleted.
        """
        self._change(user_id, thread_id, ("active",), {"status": "archived"})

    def reopen(self, user_id: str, thread_id: str) -> None:
        """Make an archived thread of one's own active again.

        Raises:
            NotFound: the user has no such thread.
            InvalidTransition: it is active or deleted.
        """
        self._change(user_id, thread_id, ("archived",), {"status": "active"})

    def discard(self, user_id: str, thread_id: str) -> None:
        """Delete a thread of one's own for good, and let its pending invites expire; its rows are kept.

        `delete(thread_id)` removes them too, with all that belongs to them.

        Raises:
            NotFound: the user has no such thread.
            InvalidTransition: it is deleted already.
        """
        with self.engine.transaction():
            self._change(user_id, thread_id, ("active", "archived"), {"status": "deleted"})
            self._invites.update_where(
                ThreadInvite.status == "pending", thread_id=thread_id, changes={"status": "expired"}
            )

    def leave(self, user_id: str, thread_id: str) -> None:
        """Take a user out of a thread; their messages stay, without a sender.

        Raises:
            NotFound: the user is not in the thread.
            InvalidTransition: the user owns it: `archive` or `discard` it instead.
        """
        with self.engine.transaction():
            participant = self.participant_of(user_id, thread_id)
            if participant.role == "owner":
                raise InvalidTransition(
                    f"the owner of thread {thread_id!r} cannot leave it",
                    current="owner",
                    hint="archive or discard the thread",
                )
            self.participants.delete(participant)

    # -- pieces ------------------------------------------------------------------------------------

    def _change(
        self, user_id: str, thread_id: str, expected: tuple[str, ...], changes: dict[str, Any]
    ) -> None:
        if self.update_where(id=thread_id, user_id=user_id, status=list(expected), changes=changes):
            return
        current = self.one(id=thread_id, user_id=user_id).status
        raise InvalidTransition(
            f"thread {thread_id!r} is {current}", current=current, wanted=changes.get("status")
        )


def _seen_by(user_id: str) -> Any:
    """Give the condition of what a user finds; Peewee's expressions are untyped."""
    theirs = ThreadParticipant.select(ThreadParticipant.thread_id).where(ThreadParticipant.user_id == user_id)
    return (Thread.status != "deleted") & Thread.id.in_(theirs)
