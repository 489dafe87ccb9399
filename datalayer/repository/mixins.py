"""What a model can take on: the base class, timestamps, a version for optimistic locking, soft deletion.

A mixin only declares columns; repository.base does what they promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from datalayer.errors import DataLayerError
from datalayer.repository.fields import UtcField

if TYPE_CHECKING:
    from datalayer.repository.base import Repository

__all__ = ["Model", "SoftDelete", "Timestamps", "Versioned"]


class Model(peewee.Model):
    """Base of models whose rows remember the repository they came from.

    `row.save()` and `row.delete_instance()` go through that repository, so one model class serves several
    stores at once. Nothing is bound to a database globally.
    """

    if not TYPE_CHECKING:  # a model's own Meta replaces this one without deriving from it, as Peewee has it

        class Meta:
            """Peewee's settings."""

            only_save_dirty = True
            legacy_table_names = False

    def save(self, force_insert: bool = False, only: Any = None) -> int:
        """Write what changed through the row's repository.

        Raises:
            DataLayerError: the row is new; a repository's `add` takes it.
            NotFound, StaleVersion: as `Repository.update`.
        """
        if only is not None:
            raise DataLayerError(
                "save(only=...) is not available", hint="use repository.update(key, field=value)"
            )
        repository = self._own_repository()
        if force_insert:
            repository.add(self)
        else:
            repository.update(self)
        return 1

    def delete_instance(self, recursive: bool = False, delete_nullable: bool = False) -> int:
        """Delete the row through its repository; foreign keys of the database say what goes with it."""
        if recursive:
            raise DataLayerError(
                "delete_instance(recursive=True) is not available", hint="give the foreign key a rule"
            )
        self._own_repository().delete(self)
        return 1

    def _own_repository(self) -> Repository[Any]:
        repository: Repository[Any] | None = self.__dict__.get("_repository")
        if repository is None:
            raise DataLayerError(
                f"this {type(self).__name__} came from no repository",
                hint="repository.add() takes a new row, repository.update() one that was read elsewhere",
            )
        return repository


class Timestamps(Model):
    """`created_at` and `updated_at`, set by the repository from the store's clock."""

    created_at = UtcField()
    updated_at = UtcField()


class Versioned(Model):
    """`version`, raised by one with each update; a row that moved on raises StaleVersion."""

    version = peewee.IntegerField(default=1)


class SoftDelete(Model):
    """`deleted_at`: delete() sets it, and reads leave such rows out; see `Repository.with_deleted`."""

    deleted_at = UtcField(null=True)
