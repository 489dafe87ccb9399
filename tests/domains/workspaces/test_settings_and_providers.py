"""Settings with their types, AI providers, and their keys."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest
from support.clock import Clock

from datalayer import (
    CheckViolation,
    ForeignKeyViolation,
    NotFound,
    SecretUnreadable,
    UniqueViolation,
)
from datalayer.domains.workspaces import (
    AiProviderKeys,
    AiProviders,
    Route,
    Settings,
    SystemSettings,
)
from datalayer.store import Store

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)

SECRET = "sk-0123456789-abcdefgh"


@pytest.fixture
def settings(store: Store) -> Settings:
    return store.workspaces.settings


@pytest.fixture
def providers(store: Store) -> AiProviders:
    return store.workspaces.ai_providers


@pytest.fixture
def keys(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AiProviderKeys:
    monkeypatch.setenv("DATALAYER_KEYS", "test:" + base64.b64encode(bytes(range(32))).decode())
    return store.workspaces.ai_provider_keys


# -- settings ----------------------------------------------------------------------------------------


def test_settings_have_defaults_until_they_are_changed(settings: Settings, ann: str) -> None:
    assert settings.read() == SystemSettings()
    changed = settings.change(
        maintenance_mode=True, max_ai_cost_per_user_daily=Decimal("2.500001"), updated_by=ann
    )

    assert changed == settings.read()
    assert (changed.maintenance_mode, changed.default_rate_limit) == (True, 60)
    assert changed.max_ai_cost_per_user_daily == Decimal("2.500001")
    assert settings.get("maintenance_mode").updated_by == ann
    assert settings.change(max_ai_cost_per_user_daily=None).max_ai_cost_per_user_daily is None
    assert settings.restore_defaults() == settings.read() == SystemSettings()


def test_settings_keep_their_types(settings: Settings) -> None:
    for wrong in (
        {"maintenance_mode": 1},
        {"maintenance_mode": "on"},
        {"max_ai_cost_per_user_daily": 0.5},
        {"max_ai_cost_per_user_daily": Decimal(-1)},
        {"default_rate_limit": True},
        {"default_rate_limit": -1},
        {"default_rate_limit": 2.5},
        {"theme": "dark"},
        {"maintenance_mode": True, "default_rate_limit": -1},
    ):
        with pytest.raises(CheckViolation):
            settings.change(**wrong)  # pyright: ignore[reportArgumentType] - on purpose

    assert settings.count() == 0
    with pytest.raises(ForeignKeyViolation):
        settings.change(maintenance_mode=True, updated_by="nobody")


def test_an_app_keeps_settings_of_its_own(settings: Settings) -> None:
    settings.set_value("theme", {"dark": True})
    settings.set_value("theme", {"dark": False})

    assert settings.get_value("theme") == {"dark": False}
    assert settings.get_value("absent", 3) == 3
    with pytest.raises(CheckViolation):
        settings.set_value("maintenance_mode", True)


# -- providers ---------------------------------------------------------------------------------------


def test_a_call_goes_to_the_first_provider_that_is_enabled(providers: AiProviders) -> None:
    providers.configure("openai", "gpt", feature_routing={"summary": "gpt-small"})
    providers.configure("gemini", "flash", fallback_provider="openai")
    providers.configure("openai", "gpt", feature_routing={"summary": "gpt-small"}, fallback_provider="gemini")

    assert providers.route("gemini", "summary") == Route("gemini", "flash")
    providers.enable("gemini", False)
    assert providers.route("gemini", "summary") == Route("openai", "gpt-small")
    assert providers.route("gemini") == Route("openai", "gpt")
    providers.enable("openai", False)
    with pytest.raises(NotFound):
        providers.route("gemini")
    providers.enable("gemini")
    assert providers.route("openai") == Route("gemini", "flash")


def test_a_provider_has_its_settings_once(providers: AiProviders) -> None:
    first = providers.configure("openai", "old", is_enabled=False)
    again = providers.configure("openai", "new")

    assert (again.id, again.default_model, again.is_enabled) == (first.id, "new", True)
    with pytest.raises(CheckViolation):
        providers.configure("other", "m")  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(ForeignKeyViolation):
        providers.configure("openai", "m", fallback_provider="gemini")
    with pytest.raises(NotFound):
        providers.enable("gemini")


# -- keys --------------------------------------------------------------------------------------------


def test_a_key_is_stored_sealed_and_shown_masked(store: Store, keys: AiProviderKeys, ann: str) -> None:
    made = keys.store("openai", SECRET, user_id=ann)
    row = store.engine.fetch_one("SELECT encrypted_key, masked_preview FROM ai_provider_keys")

    assert row is not None
    assert row[1] == "sk-...efgh"
    assert SECRET not in f"{row} {made!r} {vars(made)}"
    opened = keys.open("openai")
    assert (opened.value, opened.id, SECRET in repr(opened)) == (SECRET, made.id, False)


def test_the_newest_active_key_is_used(keys: AiProviderKeys, clock: Clock) -> None:
    old = keys.store("openai", "old-" + SECRET, name="old")
    new = keys.store("openai", SECRET)
    keys.store("gemini", "other-" + SECRET)
    clock.move(60)

    assert keys.open("openai").id == new.id
    assert keys.get(new.id).last_used_at == clock.now
    keys.deactivate(new.id)
    assert keys.open("openai").value == "old-" + SECRET
    keys.deactivate(old.id)
    with pytest.raises(NotFound):
        keys.open("openai")
    keys.replace(old.id, "fresh-" + SECRET)
    assert keys.open("openai").value == "fresh-" + SECRET
    assert [key.id for key in keys.find_of("openai")] == [new.id, old.id]


def test_a_key_that_was_moved_or_changed_does_not_open(store: Store, keys: AiProviderKeys) -> None:
    made = keys.store("openai", SECRET)
    other = keys.store("openai", "other-" + SECRET, name="other")
    sql = store.engine.dialect.sql
    store.engine.write(
        sql("UPDATE ai_provider_keys SET encrypted_key = ? WHERE id = ?"), (made.encrypted_key, other.id)
    )
    with pytest.raises(SecretUnreadable) as caught:
        keys.open("openai")
    assert SECRET not in str(caught.value)
    keys.delete(other.id)
    assert keys.open("openai").value == SECRET
    store.engine.write(sql("UPDATE ai_provider_keys SET provider = ?"), ("gemini",))

    with pytest.raises(SecretUnreadable):
        keys.open("gemini")


def test_a_key_is_revealed_to_administrators_who_are_recorded(
    store: Store, keys: AiProviderKeys, ann: str, ben: str, cleo: str
) -> None:
    store.workspaces.admins.grant(ann, "superadmin")
    store.workspaces.admins.grant(ben, "support")
    made = keys.store("openai", SECRET, user_id=ann)
    for user in (ben, cleo):
        with pytest.raises(NotFound):
            keys.reveal(made.id, user_id=user)

    assert keys.reveal(made.id, user_id=ann).value == SECRET
    told = store.workspaces.audit.find(entity_id=made.id)
    assert [(entry.action, entry.actor_id) for entry in told] == [
        ("ai_provider_key.store", ann),
        ("ai_provider_key.reveal", ann),
    ]
    assert all(SECRET not in str(entry.details) for entry in told)


def test_what_is_no_key_is_refused(keys: AiProviderKeys) -> None:
    keys.store("openai", SECRET)
    with pytest.raises(UniqueViolation):
        keys.store("openai", SECRET)
    with pytest.raises(CheckViolation):
        keys.store("gemini", "")
    with pytest.raises(ForeignKeyViolation):
        keys.store("gemini", SECRET, user_id="nobody")
    with pytest.raises(NotFound):
        keys.replace("nothing", SECRET)

    assert keys.count() == 1
