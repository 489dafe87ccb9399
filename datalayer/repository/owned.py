"""Repositories of rows that belong to a user: nobody else's row is ever read or changed through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import peewee

from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.bulk import insert_sql
from datalayer.repository.page import Page

__all__ = ["Once", "Owned", "PerUser", "not_found"]

M = TypeVar("M", bound=peewee.Model)
_RECENT = ("-updated_at", "-id")


class Once(Repository[M]):
    """Rows of which there is at most one of a kind, however many add it at the same time."""

    def add_unless(self, on: Sequence[str], values: Mapping[str, Any]) -> M | None:
        """Insert a row, or give None where there is one with the same `on` fields.

        One statement. On PostgreSQL it waits for another transaction that is about to add the same.
        """
        shape = self.shape
        data = self.filled_in(values)
        columns = ", ".join(shape.quoted[name] for name in on)
        sql = f"{insert_sql(shape, tuple(data))} ON CONFLICT ({columns}) DO NOTHING RETURNING {shape.columns}"
        found = self._write_one(sql, [shape.encode_one(name, value) for name, value in data.items()])
        return None if found is None else shape.build(found, self)


class Owned(Once[M]):
    """Rows with an `id` and the `user_id` of their owner."""

    def get_own(self, key: str, *, user_id: str) -> M:
        """Give a row of this user.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        row = self.one_or_none(id=key, user_id=user_id)
        if row is None:
            raise self._not_found(key)
        return row

    def page_for_user(
        self, user_id: str, *, size: int = 50, after: str | None = None, **equals: Any
    ) -> Page[M]:
        """Give a page of a user's rows, the last changed first; see `Repository.page`."""
        return self.page(user_id=user_id, order_by=_RECENT, size=size, after=after, **equals)

    def delete_own(self, key: str, *, user_id: str) -> None:
        """Delete a row of this user, with what belongs to it.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        if not self.delete_where(id=key, user_id=user_id):
            raise self._not_found(key)

    def _edit(self, key: str, user_id: str, changes: Mapping[str, Any]) -> M:
        """Change a row of this user and give it, as the triggers left it."""
        with self.engine.transaction():
            if changes and not self.update_where(id=key, user_id=user_id, changes=changes):
                raise self._not_found(key)
            return self.get_own(key, user_id=user_id)


class PerUser(Once[M]):
    """One row for each user at most, whose key is the user's; where there is none, the defaults hold."""

    def for_user(self, user_id: str) -> M:
        """Give a user's row, or one of defaults that is not stored."""
        found = self.get_or_none(user_id)
        return found if found is not None else self._defaults(user_id)

    def reset(self, user_id: str) -> bool:
        """Let the defaults hold again; False where they did."""
        return self.delete_where(user_id=user_id) > 0

    def _defaults(self, user_id: str) -> M:
        return self.model(user_id=user_id)

    def _change(self, user_id: str, changes: Mapping[str, Any]) -> M:
        """Write these fields of a user's row, making it where there is none, and give it."""
        with self.engine.transaction():
            while not self.update_where(user_id=user_id, changes=changes):
                made = self.add_unless(("user_id",), {**changes, "user_id": user_id})
                if made is not None:
                    return made
            return self.get(user_id)


def not_found(kind: str, key: str) -> NotFound:
    """Say that a row which others belong to is not there for this user."""
    return NotFound(f"no {kind} answers to {key!r}")
