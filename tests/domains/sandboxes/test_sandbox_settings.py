"""Knowledge documents, preferences, the coding agent's configuration and files, settings."""

from __future__ import annotations

import math
import struct

import pytest

from datalayer import CheckViolation, ForeignKeyViolation, NotFound, StaleVersion, UniqueViolation
from datalayer.domains.sandboxes import Sandboxes, decode_embedding, encode_embedding
from datalayer.store import Store

# -- knowledge -------------------------------------------------------------------------------------


def test_document_has_another_version_with_each_content(
    sandboxes: Sandboxes, store: Store, user: str
) -> None:
    knowledge = sandboxes.knowledge
    document = knowledge.create(user, "notes", "one", title="T", tags=["a", "b"])
    versions = [
        knowledge.edit(document.id, user_id=user, **changes).version
        for changes in ({"title": "U"}, {"content": "two"}, {"content": "two"}, {"content": "three"})
    ]
    store.engine.write("UPDATE knowledge_documents SET content = 'four'")

    assert (document.version, document.tags, document.embedding_status) == (1, ["a", "b"], "pending")
    assert versions == [1, 2, 2, 3]
    assert knowledge.get(document.id).version == 4
    for forged in (3, 6, 99):
        for besides in ("", ", content = 'five'"):
            with pytest.raises(CheckViolation) as caught:
                store.engine.write(f"UPDATE knowledge_documents SET version = {forged}{besides}")
            assert caught.value.constraint == "knowledge_documents_steps"


def test_embedding_belongs_to_one_version_of_the_content(
    sandboxes: Sandboxes, store: Store, user: str
) -> None:
    knowledge = sandboxes.knowledge
    key = knowledge.create(user, "notes", "one").id
    assert [one.id for one in knowledge.to_embed()] == [key]
    assert knowledge.start_embedding(key, version=1)
    assert not knowledge.start_embedding(key, version=1)
    knowledge.set_embedding(key, [1, -0.5], version=1, model="m")

    ready = knowledge.get(key)
    assert (ready.embedding, ready.embedding_dimensions, ready.embedding_model) == ((1.0, -0.5), 2, "m")
    row = store.engine.fetch_one("SELECT embedding FROM knowledge_documents")
    assert row is not None
    assert bytes(row[0]) == struct.pack("<2f", 1, -0.5)
    assert knowledge.edit(key, user_id=user, title="same content").embedding_status == "ready"
    changed = knowledge.edit(key, user_id=user, content="two")
    assert (changed.embedding, changed.embedding_status, changed.embedding_model) == (None, "pending", None)
    with pytest.raises(StaleVersion):
        knowledge.set_embedding(key, [1], version=1)
    with pytest.raises(NotFound):
        knowledge.set_embedding("no document", [1], version=1)
    knowledge.fail_embedding(key, "too long", version=2)
    assert knowledge.get(key).embedding_error == "too long"
    assert knowledge.embed_again(user_id=user) == 1
    assert knowledge.get(key).embedding_status == "pending"


def test_content_that_comes_with_its_embedding_keeps_it(sandboxes: Sandboxes, user: str) -> None:
    knowledge = sandboxes.knowledge
    key = knowledge.create(user, "notes", "one").id
    knowledge.update(
        key, content="two", embedding=[1.0, 2.0, 3.0], embedding_dimensions=3, embedding_status="ready"
    )

    row = knowledge.get(key)
    assert (row.version, row.embedding, row.embedding_status) == (2, (1.0, 2.0, 3.0), "ready")


@pytest.mark.parametrize("vector", [[], [math.nan], [1.0, math.inf], [1e39]])
def test_vector_that_32_bits_do_not_hold_is_refused(vector: list[float]) -> None:
    with pytest.raises(CheckViolation):
        encode_embedding(vector)
    assert decode_embedding(encode_embedding([0.5, 3])) == (0.5, 3.0)


def test_documents_are_their_users_own(sandboxes: Sandboxes, user: str, other: str) -> None:
    knowledge = sandboxes.knowledge
    mine = knowledge.create(user, "notes", "mine")
    knowledge.create(user, "template", "other")
    for attempt in (
        lambda: knowledge.get_own(mine.id, user_id=other),
        lambda: knowledge.edit(mine.id, user_id=other, content="x"),
        lambda: knowledge.delete_own(mine.id, user_id=other),
    ):
        with pytest.raises(NotFound):
            attempt()

    assert [one.id for one in knowledge.page_for_user(user, category="notes").items] == [mine.id]
    assert knowledge.page_for_user(other).items == ()
    knowledge.delete_own(mine.id, user_id=user)
    assert len(knowledge.page_for_user(user).items) == 1


# -- preferences -----------------------------------------------------------------------------------


def test_version_of_preferences_counts_their_changes(sandboxes: Sandboxes, store: Store, user: str) -> None:
    preferences = sandboxes.preferences
    assert (preferences.for_user(user).settings_version, preferences.for_user(user).theme_mode) == (0, "auto")
    assert not preferences.is_out_of_sync(user, 0)
    versions = [
        preferences.change(user, **changes).settings_version
        for changes in (
            {"theme_mode": "dark"},
            {"theme_mode": "light", "default_flavor_id": "go"},
            {"theme_mode": "light"},
            {"default_flavor_id": None, "default_addon_ids": ["gpu"]},
            {},
        )
    ]
    store.engine.write("UPDATE user_preferences SET system_notifications = NOT system_notifications")

    assert versions == [1, 2, 2, 3, 3]
    assert preferences.for_user(user).settings_version == 4
    assert preferences.is_out_of_sync(user, 3)
    assert not preferences.is_out_of_sync(user, 4)
    with pytest.raises(CheckViolation) as caught:
        store.engine.write("UPDATE user_preferences SET settings_version = 9, theme_preset = 'x'")
    assert caught.value.constraint == "user_preferences_steps"


def test_preferences_name_what_there_is_and_go_back_to_defaults(
    sandboxes: Sandboxes, user: str, other: str
) -> None:
    preferences = sandboxes.preferences
    with pytest.raises(ForeignKeyViolation):
        preferences.change(user, default_resource_tier_id="no such tier")
    with pytest.raises(ForeignKeyViolation):
        preferences.change("nobody", theme_mode="dark")
    with pytest.raises(CheckViolation):
        preferences.change(user, theme_mode="pink")
    preferences.change(user, theme_mode="dark", default_resource_tier_id="power")

    assert preferences.for_user(user).default_resource_tier_id == "power"
    assert preferences.for_user(other).theme_mode == "auto"
    assert preferences.reset(user)
    assert not preferences.reset(user)
    assert preferences.for_user(user).theme_mode == "auto"


# -- the coding agent, settings --------------------------------------------------------------------


def test_configuration_is_written_part_by_part(sandboxes: Sandboxes, user: str) -> None:
    config = sandboxes.opencode_config
    assert config.for_user(user).global_config == {}
    config.write(user, global_config={"model": "m"})
    whole = config.write(user, permissions={"bash": "ask"})

    assert (whole.global_config, whole.permissions) == ({"model": "m"}, {"bash": "ask"})
    assert config.write(user).permissions == {"bash": "ask"}
    assert config.count() == 1


def test_file_of_a_type_and_name_is_one(sandboxes: Sandboxes, user: str, other: str) -> None:
    files = sandboxes.opencode_files
    first = files.write(user, "agent", "review", "v1")
    second = files.write(user, "agent", "review", "v2", extension="ts")
    files.write(user, "command", "review", "c")
    files.write(other, "agent", "review", "theirs")

    assert (second.id, files.read(user, "agent", "review").content) == (first.id, "v2")
    assert [(one.type, one.name) for one in files.list_for_user(user)] == [
        ("agent", "review"),
        ("command", "review"),
    ]
    assert len(files.list_for_user(user, "agent")) == 1
    files.write(user, "agent", "plan", "p")
    with pytest.raises(UniqueViolation):
        files.rename(first.id, "plan", user_id=user)
    with pytest.raises(NotFound):
        files.rename(first.id, "mine", user_id=other)
    assert files.rename(first.id, "check", user_id=user).name == "check"
    with pytest.raises(NotFound):
        files.read(user, "agent", "review")
    with pytest.raises(CheckViolation):
        files.write(user, "poem", "x", "")


def test_setting_is_any_json_under_a_key(sandboxes: Sandboxes, user: str) -> None:
    settings = sandboxes.settings
    settings.put("limits", {"sandboxes": 3}, description="per user")
    changed = settings.put("limits", {"sandboxes": 5})

    assert settings.value_of("limits") == {"sandboxes": 5}
    assert changed.description == "per user"
    assert settings.put("none", None).value is None
    assert settings.value_of("missing", 7) == 7
    with pytest.raises(CheckViolation):
        settings.put("", 1)
