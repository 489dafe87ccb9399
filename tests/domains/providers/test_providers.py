"""Which providers there are, and what users have there."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import Clock

from datalayer.domains.accounts import PasswordCost
from datalayer.domains.providers import Credential, Provider, Providers, ProviderTokens
from datalayer.errors import (
    CheckViolation,
    ForeignKeyViolation,
    InvalidTransition,
    NotFound,
    SecretUnreadable,
)
from datalayer.store import Store, connect
from datalayer.testing.strategies.accounts import make_user
from datalayer.testing.strategies.providers import (
    device_flows,
    make_credential,
    oauth_states,
    provider_credentials,
    provider_tokens,
)
from datalayer.testing.strategies.providers import (
    providers as drawn_providers,
)

KEY = "sk-ant-0123456789-wxyz"
TOKENS = ProviderTokens(access_token="access-token-in-the-clear", refresh_token="refresh-secret", scope="x")


# -- providers -------------------------------------------------------------------------------------


def test_the_well_known_providers_come_with_the_schema_in_their_order(providers: Providers) -> None:
    assert [row.id for row in providers.find_enabled()][:2] == ["anthropic", "openai"]
    assert [row.id for row in providers.find_enabled(auth_type="device_flow")] == ["github-copilot"]
    assert providers.get_default().id == "anthropic"


def test_there_is_one_default_and_it_is_enabled(providers: Providers) -> None:
    providers.set_default("openai")
    assert [row.id for row in providers.find(is_default=True)] == ["openai"]
    with pytest.raises(CheckViolation) as caught:
        providers.disable("openai")
    assert caught.value.constraint == "providers_default_enabled"
    providers.disable("google")
    with pytest.raises(CheckViolation):
        providers.set_default("google")
    with pytest.raises(NotFound):
        providers.set_default("nobody")

    assert providers.get_default().id == "openai"
    providers.enable("google")
    providers.set_default("google")
    assert providers.get_default().id == "google"


def test_without_a_default_the_next_step_is_told(providers: Providers) -> None:
    providers.update("anthropic", is_default=False)
    with pytest.raises(NotFound, match="set_default"):
        providers.get_default()


def test_an_app_adds_its_own(providers: Providers) -> None:
    providers.add(Provider(id="local", name="Local", auth_types=["api_key"], position=-1))
    assert providers.find_enabled()[0].auth_types == ["api_key"]


# -- credentials -----------------------------------------------------------------------------------


def test_a_key_is_stored_sealed_and_opened_for_its_user_only(
    store: Store, providers: Providers, ada: str, eve: str
) -> None:
    row = providers.credentials.set_api_key(ada, "anthropic", KEY)
    stored = str(store.engine.fetch_all("SELECT * FROM provider_credentials"))
    opened = providers.credentials.open(ada, "anthropic")

    assert KEY not in stored + repr(row) + str(row.__data__) + repr(opened) + str(opened)
    assert row.masked_preview == "sk-...wxyz"
    assert opened == Credential(provider_id="anthropic", auth_type="api_key", api_key=KEY)
    credentials = providers.credentials
    for call in (credentials.open, credentials.get_of, credentials.mark_used, credentials.remove):
        with pytest.raises(NotFound):
            call(eve, "anthropic")
    assert providers.credentials.find_of(eve) == []


def test_a_log_of_statements_with_their_values_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with connect(":memory:", log_parameters=True, slow_s=0) as store:
        store.migrate()
        heard: list[object] = []
        with caplog.at_level(logging.DEBUG):
            store.engine.statements.refresh()
            store.engine.statements.add_hook(heard.append)
            user = store.accounts.sign_up("ada@example.org").id
            make_credential(store, user_id=user, api_key=KEY)
            store.providers.credentials.set_tokens(user, "google", TOKENS)
            store.providers.credentials.open(user, "openai")
            token = store.accounts.sessions.open(user).token
            store.accounts.sessions.get_by_token(token)
            store.accounts.password_cost = PasswordCost(ln=4, r=1, p=1)
            store.accounts.set_password(user, "correct horse battery")
            store.rotate_keys()
    told = caplog.text + repr(heard)

    assert "provider_credentials" in told
    clear = [KEY, TOKENS.access_token, str(TOKENS.refresh_token), token, "correct horse"]
    assert [one for one in clear if one in told] == []


def test_a_user_has_one_credential_at_a_provider_and_the_newest_counts(
    providers: Providers, ada: str, clock: Clock
) -> None:
    first = providers.credentials.set_api_key(ada, "openai", KEY)
    tokens = ProviderTokens(access_token="a" * 20, expires_at=clock() + timedelta(hours=1))
    second = providers.credentials.set_tokens(ada, "openai", tokens)
    assert (second.id, second.auth_type, second.api_key) == (first.id, "oauth", None)
    assert providers.credentials.open(ada, "openai").tokens == tokens
    assert providers.credentials.find_expiring(within=timedelta(minutes=5)) == []
    clock.move(3_500)
    assert [row.id for row in providers.credentials.find_expiring()] == [first.id]

    providers.credentials.set_api_key(ada, "openai", "sk-another-key-0000")
    assert providers.credentials.open(ada, "openai").api_key == "sk-another-key-0000"
    assert providers.credentials.get_of(ada, "openai").last_used_at is None
    providers.credentials.mark_used(ada, "openai")
    assert providers.credentials.get_of(ada, "openai").last_used_at == clock()
    assert providers.credentials.count() == 1
    providers.credentials.remove(ada, "openai")
    assert providers.credentials.count() == 0


def test_what_may_not_be_stored_is_refused(providers: Providers, ada: str) -> None:
    credentials = providers.credentials
    with pytest.raises(CheckViolation):
        credentials.set_api_key(ada, "openai", "")
    with pytest.raises(CheckViolation):
        credentials.set_tokens(ada, "openai", TOKENS, auth_type="api_key")
    with pytest.raises(CheckViolation):
        credentials.set_tokens(ada, "openai", TOKENS, auth_type="magic")
    with pytest.raises(ForeignKeyViolation):
        credentials.set_api_key("nobody", "openai", KEY)
    with pytest.raises(ForeignKeyViolation):
        credentials.set_api_key(ada, "nobody", KEY)

    assert not credentials.exists()


def test_a_row_that_is_moved_to_another_user_does_not_open(
    store: Store, providers: Providers, ada: str, eve: str
) -> None:
    mine = make_credential(store, user_id=ada, provider_id="openai")
    make_credential(store, user_id=eve, provider_id="anthropic")
    move = store.engine.dialect.sql("UPDATE provider_credentials SET user_id = ? WHERE id = ?")
    store.engine.write(move, (eve, mine.id))
    with pytest.raises(SecretUnreadable) as caught:
        providers.credentials.open(eve, "openai")
    assert "sk-1234567890-abcd" not in str(caught.value)

    copy = "UPDATE provider_credentials SET api_key = (SELECT api_key FROM provider_credentials WHERE id = ?)"
    store.engine.write(store.engine.dialect.sql(copy), (mine.id,))
    with pytest.raises(SecretUnreadable):
        providers.credentials.open(eve, "anthropic")


def test_deleting_a_user_takes_credentials_and_sign_ins_along(
    store: Store, providers: Providers, ada: str
) -> None:
    make_credential(store, user_id=ada)
    providers.sign_ins.start_redirect(ada, "openai")
    store.accounts.delete(ada)

    assert not providers.credentials.exists() and not providers.sign_ins.exists()


@given(data=st.data())
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_strategies_draw_the_database_accepts(store: Store, data: st.DataObject) -> None:
    user = make_user(store).id
    provider = store.providers.add(data.draw(drawn_providers())).id
    store.providers.credentials.add(data.draw(provider_credentials(user_id=user, provider_id=provider)))
    store.providers.sign_ins.add(data.draw(oauth_states(user_id=user, provider_id=provider)))
    tokens = data.draw(provider_tokens())
    flow = data.draw(device_flows())
    started = store.providers.sign_ins.start_device(user, provider, flow)

    assert store.providers.sign_ins.take_turn(user, started.id) == flow.device_code
    store.providers.sign_ins.complete(user, started.id, tokens)
    assert store.providers.credentials.open(user, provider).tokens == tokens
    with pytest.raises(InvalidTransition):
        store.providers.sign_ins.deny(user, started.id)
