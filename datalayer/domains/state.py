"""State: what an app remembers, by key. `store.kv` for the app as a whole, `store.cache` for each project.

The verbs are repository.keyvalue's. Knows no other domain.
"""

from __future__ import annotations

import os
from pathlib import Path

import peewee

from datalayer.engine.connection import Engine
from datalayer.repository.fields import JSONField, UtcField
from datalayer.repository.keytable import KeyTable, Namespace
from datalayer.repository.keyvalue import KeyValues
from datalayer.repository.mixins import Model
from datalayer.repository.project import project_hash
from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS", "CachedEntry", "CachedState", "KeyValueEntry", "KeyValueStore"]

CHECKS = {
    "DL-C221": Rule(
        "SELECT key, expires_at FROM key_value_store WHERE expires_at <= {now}",
        "{count} keys of key_value_store have expired, and wait for `purge_expired`",
        severity="info",
        table="key_value_store",
        repair="none",
    ),
    "DL-C222": Rule(
        "SELECT project_directory, key, expires_at FROM cached_state WHERE expires_at <= {now}",
        "{count} keys of cached_state have expired, and wait for `purge_expired`",
        severity="info",
        table="cached_state",
        repair="none",
    ),
}
"""Expired rows cost nothing but room: they are never given, and the next purge deletes them."""


class KeyValueEntry(Model):
    """A row of key_value_store, for queries that the verbs of `store.kv` do not answer."""

    key = peewee.TextField(primary_key=True)
    value = JSONField()
    updated_at = UtcField()
    expires_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "key_value_store"


class CachedEntry(Model):
    """A row of cached_state, for queries that the verbs of `store.cache` do not answer."""

    id = peewee.BigAutoField()
    project_directory = peewee.TextField()
    project_hash = peewee.TextField()
    key = peewee.TextField()
    value = JSONField()
    updated_at = UtcField()
    expires_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "cached_state"


class KeyValueStore(KeyValues):
    """`store.kv`: keys and values of the app as a whole; see `KeyValues` for the verbs."""

    def __init__(self, engine: Engine, *, data_dir: Path | None = None) -> None:
        super().__init__(KeyTable(engine, "key_value_store"))


class ProjectState(KeyValues):
    """Keys and values of one project; see `KeyValues` for the verbs. `directory` is as it was given."""

    def __init__(self, table: KeyTable, directory: str, digest: str) -> None:
        super().__init__(table, Namespace((directory, digest), (digest,)))
        self.directory = directory


class CachedState:
    """`store.cache`: keys and values of projects, each in a namespace of its own.

    A project is its directory in normal form (see repository.project), however its path is written.

        state = store.cache.project("/home/me/app")
        state.set("open_tabs", ["main.py"], ttl_s=3600)
    """

    def __init__(self, engine: Engine, *, data_dir: Path | None = None) -> None:
        self._engine = engine
        self._table = KeyTable(
            engine, "cached_state", row_key="id", matched=("project_hash",), carried=("project_directory",)
        )
        self._all = KeyValues(self._table)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._engine.display_url}>"

    def project(self, directory: str | os.PathLike[str]) -> ProjectState:
        """Give the keys and values of one project; costs no query.

        Raises:
            CheckViolation: the directory is empty.
        """
        return ProjectState(self._table, os.fspath(directory), project_hash(directory))

    def purge_expired(self, *, batch: int = 500, limit: int | None = None) -> int:
        """Delete expired rows of all projects; see `KeyValues.purge_expired`."""
        return self._all.purge_expired(batch=batch, limit=limit)
