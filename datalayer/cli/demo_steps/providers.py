"""The demo's work in providers: a key is stored and opened, a device flow ends, all is sealed anew."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from datalayer.domains.providers import DeviceFlow, ProviderTokens
from datalayer.engine.keys import KeyRing, new_key
from datalayer.repository.secrets import new_token, using_keys

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Store an API key, complete a device flow, open both, rotate the key that sealed them."""
    names = [row.id for row in store.providers.find_enabled()]
    facts: dict[str, Any] = {"providers": names, "default": store.providers.get_default().id}
    if find_spec("cryptography") is None:
        return "providers are listed; for credentials run pip install 'datalayer[crypto]'", facts
    user = store.accounts.sign_up(display_name="Demo")
    try:
        # keys of the demo's own, which are gone with it; so its user is deleted at the end
        keys = dict([new_key()])
        with using_keys(store.engine, KeyRing(keys)):
            _sign_in(store, user.id)
        name, key = new_key()
        with using_keys(store.engine, KeyRing({name: key, **keys})):
            facts["resealed"] = store.rotate_keys().resealed
            opened = store.providers.credentials.open(user.id, "openai")
            facts["opened"] = opened.api_key is not None
    finally:
        store.accounts.delete(user.id)
    return (
        "an API key and a device flow's tokens were sealed, opened, and sealed anew with another key",
        facts,
    )


def _sign_in(store: Store, user_id: str) -> None:
    store.providers.credentials.set_api_key(user_id, "openai", f"sk-{new_token()}")
    sign_ins = store.providers.sign_ins
    flow = DeviceFlow(
        device_code=new_token(), user_code="DEMO-CODE", verification_uri="https://example.org/device"
    )
    started = sign_ins.start_device(user_id, "github-copilot", flow)
    sign_ins.take_turn(user_id, started.id)
    sign_ins.complete(user_id, started.id, ProviderTokens(access_token=new_token()))
