"""Providers, credentials and sign-ins that the database accepts whatever is drawn."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from datalayer.domains.providers import (
    DeviceFlow,
    OAuthState,
    Provider,
    ProviderCredential,
    ProviderTokens,
)
from datalayer.domains.providers.model import AUTH_TYPES, STATUSES
from datalayer.repository.fields import new_id
from datalayer.repository.secrets import token_hash
from datalayer.store import Store
from datalayer.testing.strategies.values import moments, texts

__all__ = [
    "device_flows",
    "make_credential",
    "oauth_states",
    "provider_credentials",
    "provider_tokens",
    "providers",
]

# what a key that is nowhere would have sealed: of the right form, and unreadable
_SEALED = "dl1:none:AAAA"


def providers() -> SearchStrategy[Provider]:
    """Give providers of which none is the default."""
    return st.builds(
        Provider,
        id=st.builds(new_id),
        name=texts(min_size=1),
        base_url=st.none() | texts(),
        auth_types=st.lists(st.sampled_from(AUTH_TYPES), unique=True),
        is_enabled=st.booleans(),
        is_default=st.just(False),
        position=st.integers(0, 1_000),
    )


def provider_tokens() -> SearchStrategy[ProviderTokens]:
    """Give tokens in the clear, as a provider gives them."""
    return st.builds(
        ProviderTokens,
        access_token=texts(min_size=1, max_size=80),
        refresh_token=st.none() | texts(max_size=80),
        expires_at=st.none() | moments(),
        scope=st.none() | texts(),
    )


@st.composite
def provider_credentials(draw: st.DrawFn, *, user_id: str, provider_id: str) -> ProviderCredential:
    """Give credentials whose sealed values open for nobody; `make_credential` makes one that opens."""
    auth_type = draw(st.sampled_from(AUTH_TYPES))
    is_key = auth_type == "api_key"
    return ProviderCredential(
        id=new_id(),
        user_id=user_id,
        provider_id=provider_id,
        auth_type=auth_type,
        api_key=_SEALED if is_key else None,
        access_token=None if is_key else _SEALED,
        refresh_token=None if is_key else draw(st.sampled_from([None, _SEALED])),
        masked_preview=draw(texts(max_size=10)),
        scope=draw(st.none() | texts()),
        expires_at=draw(st.none() | moments()),
        last_used_at=draw(st.none() | moments()),
    )


def device_flows() -> SearchStrategy[DeviceFlow]:
    """Give what a provider answers when a device flow begins."""
    return st.builds(
        DeviceFlow,
        device_code=texts(min_size=1),
        user_code=st.from_regex(r"[A-Z]{4}-[A-Z]{4}", fullmatch=True),
        verification_uri=st.just("https://example.org/device"),
        expires_in_s=st.floats(1, 3_600),
        interval_s=st.integers(1, 60),
    )


@st.composite
def oauth_states(draw: st.DrawFn, *, user_id: str, provider_id: str) -> OAuthState:
    """Give sign-ins of both flows at any point of their life."""
    is_device = draw(st.booleans())
    status = draw(st.sampled_from(STATUSES))
    is_open = status == "pending"
    return OAuthState(
        id=new_id(),
        user_id=user_id,
        provider_id=provider_id,
        flow="device_flow" if is_device else "redirect",
        status=status,
        state=None if is_device else token_hash(new_id()),
        code_verifier=_SEALED if is_open and not is_device else None,
        redirect_uri=None if is_device else draw(st.none() | texts()),
        device_code=_SEALED if is_open and is_device else None,
        user_code="ABCD-EFGH" if is_device else None,
        verification_uri="https://example.org/device" if is_device else None,
        interval_s=draw(st.integers(1, 3_600)),
        last_polled_at=draw(st.none() | moments()),
        error_message=draw(st.none() | texts()),
        expires_at=draw(moments()),
    )


def make_credential(
    store: Store, *, user_id: str, provider_id: str = "openai", api_key: str = "sk-1234567890-abcd"
) -> ProviderCredential:
    """Give a user this API key at a provider, one that the schema brings along unless named."""
    return store.providers.credentials.set_api_key(user_id, provider_id, api_key)
