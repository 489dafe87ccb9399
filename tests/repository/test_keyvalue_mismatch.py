"""A database older than the code: keys and lists of files say what is missing, as repositories do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datalayer import SchemaMismatch
from datalayer.domains.sessions import Session, Sessions
from datalayer.domains.state import CachedState, KeyValueStore
from datalayer.engine.connection import Engine
from datalayer.store import Store


def test_keys_without_a_table_say_so(engine: Engine) -> None:
    for keys in (KeyValueStore(engine), CachedState(engine).project("/app")):
        acts: list[Callable[[], object]] = [
            lambda keys=keys: keys.get("a"),
            lambda keys=keys: keys.set("a", 1),
            lambda keys=keys: keys.increment("a"),
            lambda keys=keys: keys.set_many({"a": 1}),
            lambda keys=keys: keys.delete_many(["a"]),
            lambda keys=keys: list(keys.scan()),
            lambda keys=keys: keys.get_or_compute("a", lambda: 1),
            lambda keys=keys: keys.watch("a", timeout_s=1),
        ]
        for act in acts:
            with pytest.raises(SchemaMismatch, match="datalayer migrate") as caught:
                act()

            assert any(name.endswith(".expires_at") for name in caught.value.missing)


def test_keys_without_a_column_name_it(store: Store) -> None:
    store.engine.execute("DROP INDEX cached_state_expiry")
    store.engine.execute("ALTER TABLE cached_state DROP COLUMN expires_at")
    with pytest.raises(SchemaMismatch) as caught, store.transaction():
        store.cache.project("/app").set("a", 1)

    assert caught.value.missing == ("cached_state.expires_at",)
    store.kv.set("a", 1)


def test_sessions_without_their_lists_say_so(store: Store) -> None:
    sessions = Sessions(store.engine)
    key = sessions.add(Session(name="n", project_directory="/app")).id
    store.engine.execute("DROP TABLE excluded_files")
    with pytest.raises(SchemaMismatch) as caught:
        sessions.get_with_files(key)

    assert caught.value.missing[0] == "excluded_files.session_id"
    assert sessions.get(key).name == "n"
