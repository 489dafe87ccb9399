"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

from contextlib import suppress

from datalayer import KeyRing, connect
from datalayer.errors import NotFound
from datalayer.store import Store

__all__ = ["OLD", "RING", "rotate_slowly", "write_or_rotate"]

OLD = KeyRing({"old": bytes(range(32))})
RING = OLD.with_primary("new", bytes(range(1, 33)))
# of a process that has not taken to the new key yet
BEHIND = KeyRing({name: RING.key(name) or b"" for name in ("old", "new")})


def write_or_rotate(target: str, number: int, users: list[str], states: list[str]) -> list[int]:
    """Write newer keys with the older key, or rotate; give (states taken back, values sealed anew)."""
    is_rotator = number < 2
    with connect(target, busy_timeout_s=30, keys=RING if is_rotator else BEHIND) as store:
        if is_rotator:
            return [0, sum(store.rotate_keys(batch=5).resealed for _ in range(6))]
        taken = 0
        for turn, user in enumerate(users):
            # each user's key is written by one process only, which so knows the last one
            if turn % 6 == number - 2:
                for count in range(5):
                    store.providers.credentials.set_api_key(user, "openai", f"{user}-key-{count}")
            store.providers.credentials.set_api_key(users[0], "google", f"shared-key-of-{number}")
            with suppress(NotFound):
                store.providers.sign_ins.take_redirect(users[0], states[turn])
                taken += 1
        _choose_defaults(store)
        return [taken, 0]


def _choose_defaults(store: Store) -> None:
    for name in ("openai", "google", "anthropic"):
        store.providers.set_default(name)


def rotate_slowly(target: str) -> int:
    """Rotate one value a transaction, saying so on standard output once a few are done."""

    def tell(done: int, _: int) -> None:
        if done == 5:
            print("under way", flush=True)

    with connect(target, busy_timeout_s=30, keys=RING) as store:
        return store.rotate_keys(batch=1, progress=tell).resealed
