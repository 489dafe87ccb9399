"""Relationships of two users, and the requests that lead to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Timestamps
from datalayer.repository.page import Page

__all__ = ["Relationship", "RelationshipRequest", "Relationships"]


class Relationship(Timestamps):
    """Two users who know each other; one row for both, `user_id` being the lesser of the two ids."""

    id = IdField()
    user_id = peewee.TextField()
    related_user_id = peewee.TextField()

    class Meta:
        """Where it is stored."""

        table_name = "relationships"

    def other(self, user_id: str) -> str:
        """Give the id of the one who is not this user."""
        return str(self.related_user_id if self.user_id == user_id else self.user_id)


class RelationshipRequest(Timestamps):
    """`user_id` asks `related_user_id`: pending, then accepted, declined or cancelled for good."""

    id = IdField()
    user_id = peewee.TextField()
    related_user_id = peewee.TextField()
    message = peewee.TextField(default="")
    status = peewee.TextField(default="pending")
    decided_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "relationship_requests"


class Relationships(Repository[Relationship]):
    """`store.workspaces.relationships`: who is connected to whom, whichever of the two asked.

    Of two users there is one relationship or one pending request at a time, never both: rules of the
    database, also for eight processes that ask in both directions at once.

        request = relationships.request(ann, ben, message="We met in Oslo")
        relationships.accept(ben, request.id)
    """

    def __init__(
        self, engine: Engine, model: type[Relationship] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.requests = Repository(engine, RelationshipRequest)
        dialect = engine.dialect
        self._lock_sql = dialect.sql(f"SELECT id FROM users WHERE id = ?{dialect.row_lock}")

    def request(self, user_id: str, related_user_id: str, *, message: str = "") -> RelationshipRequest:
        """Ask another user, and give the request, which is pending.

        Raises:
            CheckViolation: the two are related already (`relationship_requests_not_related`), or are one.
            UniqueViolation: one of the two has asked the other already.
            ForeignKeyViolation: there is no such user.
        """
        if user_id == related_user_id:
            raise CheckViolation(
                "a user cannot be related to themselves",
                table="relationship_requests",
                columns=("user_id", "related_user_id"),
                constraint="relationship_requests_of_another",
            )
        with self.engine.transaction():
            self._lock(user_id, related_user_id)
            return self.requests.add(user_id=user_id, related_user_id=related_user_id, message=message)

    def accept(self, user_id: str, request_id: str) -> Relationship:
        """Accept a request that was made to this user, and give the relationship; one transaction.

        Raises:
            NotFound: there is no such request to this user.
            InvalidTransition: it is accepted, declined or cancelled already.
        """
        with self.engine.transaction():
            request = self._asked(request_id, related_user_id=user_id)
            self._lock(request.user_id, request.related_user_id)
            self._decide(request, "accepted")
            first, second = sorted((request.user_id, request.related_user_id))
            return self.add(user_id=first, related_user_id=second)

    def decline(self, user_id: str, request_id: str) -> None:
        """Decline a request that was made to this user; the one who asked may ask again.

        Raises:
            NotFound: there is no such request to this user.
            InvalidTransition: it is accepted, declined or cancelled already.
        """
        self._decide(self._asked(request_id, related_user_id=user_id), "declined")

    def cancel(self, user_id: str, request_id: str) -> None:
        """Take back a request that this user made.

        Raises:
            NotFound: there is no such request of this user's.
            InvalidTransition: it is accepted, declined or cancelled already.
        """
        self._decide(self._asked(request_id, user_id=user_id), "cancelled")

    def remove(self, user_id: str, related_user_id: str) -> None:
        """End the relationship of two users; either may.

        Raises:
            NotFound: they are not related.
        """
        first, second = sorted((user_id, related_user_id))
        if not self.delete_where(user_id=first, related_user_id=second):
            raise NotFound(f"users {user_id!r} and {related_user_id!r} are not related")

    # -- looking -----------------------------------------------------------------------------------

    def are_related(self, user_id: str, related_user_id: str) -> bool:
        """Say whether two users are related."""
        first, second = sorted((user_id, related_user_id))
        return self.exists(user_id=first, related_user_id=second)

    def page_for(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[Relationship]:
        """Give one page of a user's relationships, the newest first; `other()` names who it is with."""
        return self.page(_of(user_id), order_by="-id", size=size, after=after)

    def incoming(
        self, user_id: str, *, size: int = 50, after: str | None = None
    ) -> Page[RelationshipRequest]:
        """Give one page of the pending requests to this user, the newest first."""
        return self.requests.page(
            related_user_id=user_id, status="pending", order_by="-id", size=size, after=after
        )

    def outgoing(
        self, user_id: str, *, size: int = 50, after: str | None = None
    ) -> Page[RelationshipRequest]:
        """Give one page of the pending requests of this user, the newest first."""
        return self.requests.page(user_id=user_id, status="pending", order_by="-id", size=size, after=after)

    # -- pieces ------------------------------------------------------------------------------------

    def _lock(self, user_id: str, related_user_id: str) -> None:
        """Lock the lesser of two users, as the rules of the database do: the pair's writers stand in line.

        Before any row of theirs is locked, else two of them could wait for each other.
        """
        self.engine.fetch_one(self._lock_sql, (min(user_id, related_user_id),))

    def _asked(self, request_id: str, **of_user: str) -> RelationshipRequest:
        return self.requests.one(id=request_id, **of_user)

    def _decide(self, request: RelationshipRequest, status: str) -> None:
        changes = {"status": status, "decided_at": self.engine.clock()}
        if not self.requests.update_where(id=request.id, status="pending", changes=changes):
            current = self.requests.get(request.id).status
            raise InvalidTransition(
                f"request {request.id!r} is {current} already", current=current, wanted=status
            )


def _of(user_id: str) -> Any:
    """Give the condition that one of the two is this user; Peewee's expressions are untyped."""
    return (Relationship.user_id == user_id) | (Relationship.related_user_id == user_id)
