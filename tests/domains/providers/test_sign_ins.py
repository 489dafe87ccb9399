"""Sign-ins under way: they belong to a user, run out, and end once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer.domains.providers import DeviceFlow, Providers, ProviderTokens
from datalayer.errors import InvalidTransition, NotFound
from datalayer.store import Store

FLOW = DeviceFlow(
    device_code="device-code-in-the-clear",
    user_code="ABCD-EFGH",
    verification_uri="https://example.org/device",
    expires_in_s=60,
    interval_s=5,
)
TOKENS = ProviderTokens(access_token="access-token-0123456789")


def test_a_device_flow_is_polled_in_turns_and_completed_once(
    store: Store, providers: Providers, ada: str, clock: Clock
) -> None:
    sign_ins = providers.sign_ins
    started = sign_ins.start_device(ada, "github-copilot", FLOW)
    assert FLOW.device_code not in str(store.engine.fetch_all("SELECT * FROM oauth_state")) + repr(FLOW)
    assert sign_ins.take_turn(ada, started.id) == FLOW.device_code
    assert sign_ins.take_turn(ada, started.id) is None
    clock.move(5)
    assert sign_ins.take_turn(ada, started.id) == FLOW.device_code
    sign_ins.slow_down(ada, started.id)
    clock.move(9)
    assert sign_ins.take_turn(ada, started.id) is None

    row = sign_ins.complete(ada, started.id, TOKENS)
    assert (row.auth_type, row.provider_id) == ("device_flow", "github-copilot")
    assert providers.credentials.open(ada, "github-copilot").tokens == TOKENS
    ended = sign_ins.get(started.id)
    assert (ended.status, ended.device_code) == ("completed", None)
    with pytest.raises(InvalidTransition):
        sign_ins.complete(ada, started.id, TOKENS)
    with pytest.raises(InvalidTransition):
        sign_ins.take_turn(ada, started.id)


def test_another_user_neither_sees_nor_ends_a_sign_in(providers: Providers, ada: str, eve: str) -> None:
    sign_ins = providers.sign_ins
    started = sign_ins.start_device(ada, "openai", FLOW)
    redirect = sign_ins.start_redirect(ada, "openai")
    calls: list[Callable[[], object]] = [
        lambda: sign_ins.take_turn(eve, started.id),
        lambda: sign_ins.slow_down(eve, started.id),
        lambda: sign_ins.complete(eve, started.id, TOKENS),
        lambda: sign_ins.deny(eve, started.id),
        lambda: sign_ins.fail(eve, started.id, "x"),
        lambda: sign_ins.take_redirect(eve, redirect.state),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()

    assert sign_ins.page_of(eve).items == ()
    assert [row.id for row in sign_ins.page_of(ada).items] == [redirect.sign_in.id, started.id]


def test_a_state_is_taken_back_once_with_its_verifier(
    store: Store, providers: Providers, ada: str, clock: Clock
) -> None:
    sign_ins = providers.sign_ins
    started = sign_ins.start_redirect(ada, "anthropic", redirect_uri="https://app.example.org/back")
    stored = str(store.engine.fetch_all("SELECT * FROM oauth_state")) + repr(started)
    assert started.state not in stored and started.code_verifier not in stored
    back = sign_ins.take_redirect(ada, started.state)
    assert (back.code_verifier, back.sign_in.id) == (started.code_verifier, started.sign_in.id)
    assert started.code_verifier not in repr(back)
    with pytest.raises(NotFound):
        sign_ins.take_redirect(ada, started.state)
    with pytest.raises(InvalidTransition):
        sign_ins.take_turn(ada, started.sign_in.id)

    assert sign_ins.complete(ada, back.sign_in.id, TOKENS).auth_type == "oauth"
    late = sign_ins.start_redirect(ada, "anthropic")
    clock.move(600)
    with pytest.raises(NotFound):
        sign_ins.take_redirect(ada, late.state)


def test_a_sign_in_that_ran_out_changes_no_credential(providers: Providers, ada: str, clock: Clock) -> None:
    sign_ins = providers.sign_ins
    started = sign_ins.start_device(ada, "openai", FLOW)
    clock.move(60)
    with pytest.raises(InvalidTransition) as caught:
        sign_ins.complete(ada, started.id, TOKENS)
    assert caught.value.current == "expired"
    assert not providers.credentials.exists()

    others = [sign_ins.start_redirect(ada, "openai", ttl=timedelta(seconds=1)) for _ in range(4)]
    clock.move(1)
    assert sign_ins.expire_due(batch=2) == 5
    assert sign_ins.expire_due() == 0
    row = sign_ins.get(others[0].sign_in.id)
    assert (row.status, row.code_verifier) == ("expired", None)
    assert sign_ins.delete_ended(older_than=timedelta(seconds=1), batch=2) == 1
    assert sign_ins.delete_ended(older_than=timedelta(0), batch=2) == 4


def test_a_denied_or_failed_sign_in_stays_so(providers: Providers, ada: str) -> None:
    sign_ins = providers.sign_ins
    denied, failed = (sign_ins.start_device(ada, "openai", FLOW).id for _ in range(2))
    sign_ins.deny(ada, denied)
    sign_ins.fail(ada, failed, "access_denied")

    assert sign_ins.get(failed).error_message == "access_denied"
    for key in (denied, failed):
        with pytest.raises(InvalidTransition):
            sign_ins.complete(ada, key, TOKENS)
    assert not providers.credentials.exists()
