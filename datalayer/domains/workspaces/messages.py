"""Messages of threads, and their way to each participant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from datalayer.domains.workspaces.thread_model import (
    DeliveryStatus,
    PostedMessage,
    Thread,
    ThreadMessage,
    ThreadMessageDelivery,
    ThreadParticipant,
)
from datalayer.engine.connection import Engine
from datalayer.errors import InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc
from datalayer.repository.page import Page

__all__ = ["Messages"]

# from which statuses a delivery comes to each
_BEFORE: dict[str, tuple[str, ...]] = {
    "sent": ("queued",),
    "delivered": ("queued", "sent"),
    "read": ("queued", "sent", "delivered"),
    "failed": ("queued", "sent"),
}
# the times that a delivery has by then
_TIMES = {
    "sent": ("sent_at",),
    "delivered": ("sent_at", "delivered_at"),
    "read": ("sent_at", "delivered_at", "read_at"),
    "failed": (),
}


class Messages(Repository[ThreadMessage]):
    """`store.workspaces.messages`: what is said in threads, and who has got and read it.

    Senders and readers are participants (`threads.participant_of(user_id, thread_id)`), with or without an
    account. A delivery goes from queued to sent, delivered and read, or fails; that it never goes back is a
    rule of the database.
    """

    def __init__(
        self, engine: Engine, model: type[ThreadMessage] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.deliveries = Repository(engine, ThreadMessageDelivery)
        self._threads = Repository(engine, Thread)
        self._participants = Repository(engine, ThreadParticipant)
        table, dialect = self.deliveries.shape.table, engine.dialect
        messages = f"SELECT id FROM {self.shape.table} WHERE thread_id = ? AND id <= ?"
        self._read_sql = dialect.sql(
            f"UPDATE {table} SET status = 'read', read_at = ?, updated_at = ?,"
            " sent_at = COALESCE(sent_at, ?), delivered_at = COALESCE(delivered_at, ?)"
            " WHERE participant_id = ? AND status IN ('queued', 'sent', 'delivered')"
            f" AND message_id IN ({messages})"
        )
        self._move_sql = {
            status: dialect.sql(_move_sql(table, self.deliveries.shape.columns, status)) for status in _BEFORE
        }

    # -- posting -----------------------------------------------------------------------------------

    def post(self, participant_id: str, content: str) -> PostedMessage:
        """Post a message, with a queued delivery for each other participant; one transaction.

        Messages of a thread are posted one after the other; who comes in meanwhile gets the next one.

        Raises:
            NotFound: there is no such participant.
            InvalidTransition: the thread is not active.
            CheckViolation: the content is empty.
        """
        with self.engine.transaction():
            sender = self._participants.get(participant_id)
            thread = self._threads.for_update().get(sender.thread_id)
            if thread.status != "active":
                raise InvalidTransition(
                    f"thread {thread.id!r} is {thread.status}",
                    current=thread.status,
                    wanted="posted",
                    why="messages are posted to an active thread alone",
                )
            message = self.add(thread_id=thread.id, sender_id=sender.id, content=content)
            readers = self._participants.find(
                ThreadParticipant.id != sender.id, thread_id=thread.id, order_by="id"
            )
            deliveries = [
                self.deliveries.add(message_id=message.id, participant_id=reader.id) for reader in readers
            ]
            return PostedMessage(message, tuple(deliveries))

    def edit(self, participant_id: str, message_id: str, content: str) -> ThreadMessage:
        """Give a message of one's own another content.

        Raises:
            NotFound: there is no such message of this participant.
            InvalidTransition: it is deleted.
            CheckViolation: the content is empty.
        """
        return self._change(participant_id, message_id, {"status": "edited", "content": content})

    def erase(self, participant_id: str, message_id: str) -> ThreadMessage:
        """Delete a message of one's own: what it said is gone, that there was one stays.

        Raises:
            NotFound: there is no such message of this participant.
            InvalidTransition: it is deleted already.
        """
        return self._change(participant_id, message_id, {"status": "deleted", "content": ""})

    def history(
        self, participant_id: str, *, size: int = 50, after: str | None = None
    ) -> Page[ThreadMessage]:
        """Give one page of the messages of the participant's thread, the newest first.

        Raises:
            NotFound: there is no such participant, or the thread is deleted.
        """
        thread_id = self._thread_of(participant_id)
        return self.page(thread_id=thread_id, order_by="-id", size=size, after=after)

    # -- delivering --------------------------------------------------------------------------------

    def outbox(self, *, limit: int = 100) -> list[ThreadMessageDelivery]:
        """Give the deliveries that are to be sent, the oldest first; who sends them moves them on."""
        return self.deliveries.find(status="queued", order_by="id", limit=limit)

    def move(
        self, delivery_id: str, status: DeliveryStatus, *, error: str | None = None
    ) -> ThreadMessageDelivery:
        """Move a delivery on, to sent, delivered, read or failed, and give it; of two at once one does.

        One that is passed over has its time from this call too. One that has the status already is given as
        it is.

            for delivery in messages.outbox():
                messages.move(delivery.id, "sent")

        Raises:
            NotFound: there is no such delivery.
            InvalidTransition: it is further than that already, or failed.
        """
        now = self.engine.clock()
        if status in self._move_sql:
            sql, params = self._move_sql[status], self._move_params(delivery_id, status, error, now)
            found = self.engine.write_one(sql, params)
            if found is not None:
                return self.deliveries.shape.build(found, self.deliveries)
        delivery = self.deliveries.get(delivery_id)
        if delivery.status == status:
            return delivery
        raise InvalidTransition(
            f"delivery {delivery_id!r} is {delivery.status}",
            current=delivery.status,
            wanted=status,
            why="a delivery never goes back",
        )

    def mark_read(self, participant_id: str, message_id: str) -> int:
        """Mark all that a participant got as read, up to this message, in one statement.

        Gives the number of those that were not read yet.

        Raises:
            NotFound: there is no such participant, or no such message in their thread, or it is deleted.
        """
        thread_id = self._thread_of(participant_id)
        if not self.exists(id=message_id, thread_id=thread_id):
            raise NotFound(f"no message {message_id!r} is in the thread of participant {participant_id!r}")
        now = encode_utc(self.engine.clock())
        params = (now, now, now, now, participant_id, thread_id, message_id)
        return int(self.engine.write(self._read_sql, params).rowcount)

    def unread_count(self, participant_id: str) -> int:
        """Count what a participant got and has not read; cost grows with that number alone."""
        return self.deliveries.count(participant_id=participant_id, status=["queued", "sent", "delivered"])

    def receipts(self, participant_id: str, message_id: str) -> Sequence[ThreadMessageDelivery]:
        """Give how far a message of one's own has come to each of the others.

        Raises:
            NotFound: there is no such message of this participant.
        """
        self.one(id=message_id, sender_id=participant_id)
        return self.deliveries.find(message_id=message_id, order_by="participant_id")

    # -- pieces ------------------------------------------------------------------------------------

    def _thread_of(self, participant_id: str) -> str:
        thread_id = self._participants.get(participant_id).thread_id
        return str(self._threads.one(Thread.status != "deleted", id=thread_id).id)

    def _change(self, participant_id: str, message_id: str, changes: dict[str, Any]) -> ThreadMessage:
        with self.engine.transaction():
            theirs = {"id": message_id, "sender_id": participant_id}
            if not self.update_where(ThreadMessage.status != "deleted", changes=changes, **theirs):
                current = self.one(**theirs).status
                raise InvalidTransition(
                    f"message {message_id!r} is {current}", current=current, wanted=changes["status"]
                )
            return self.get(message_id)

    def _move_params(self, delivery_id: str, status: str, error: str | None, now: datetime) -> list[Any]:
        stamp = encode_utc(now)
        failure = [error or "no reason given"] if status == "failed" else []
        return [stamp, *failure, *[stamp] * len(_TIMES[status]), delivery_id]


def _move_sql(table: str, columns: str, status: str) -> str:
    failure = ["error_message = ?"] if status == "failed" else []
    times = [f"{name} = COALESCE({name}, ?)" for name in _TIMES[status]]
    terms = ", ".join([f"status = '{status}'", "updated_at = ?", *failure, *times])
    before = ", ".join(f"'{name}'" for name in _BEFORE[status])
    return f"UPDATE {table} SET {terms} WHERE id = ? AND status IN ({before}) RETURNING {columns}"
