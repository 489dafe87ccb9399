"""Sign-ins under way at providers: by redirect (RFC 6749, 7636) or by device flow (RFC 8628).

Each belongs to a user, runs out, and ends once; with the end its secrets are gone from the row. Talks to no
provider: the app does, with what is given here.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from datalayer.domains.providers.credentials import ProviderCredentials
from datalayer.domains.providers.model import (
    DeviceFlow,
    FinishedRedirect,
    OAuthState,
    ProviderCredential,
    ProviderTokens,
    StartedRedirect,
)
from datalayer.engine.connection import Engine
from datalayer.errors import InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc, new_id
from datalayer.repository.page import Page
from datalayer.repository.secrets import Secrets, new_token, token_hash

__all__ = ["OAuthStates"]

_REDIRECT_TTL = timedelta(minutes=10)
_SLOWER_S = 5
_ENDED = {"device_code": None, "code_verifier": None}


class OAuthStates(Repository[OAuthState]):
    """`store.providers.sign_ins`: what users have begun and not yet ended.

    Each is `pending` until it is completed, denied, failed or expired.

        sign_ins = store.providers.sign_ins
        flow = DeviceFlow(device_code="d", user_code="ABCD-EFGH", verification_uri="https://example.org")
        started = sign_ins.start_device(user_id, "github-copilot", flow)
        code = sign_ins.take_turn(user_id, started.id)  # None: not yet
        sign_ins.complete(user_id, started.id, ProviderTokens(access_token="gho_..."))
    """

    def __init__(
        self, engine: Engine, model: type[OAuthState] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._secrets = Secrets(engine, "oauth_state")
        self._credentials = ProviderCredentials(engine, data_dir=data_dir)

    # -- beginning ---------------------------------------------------------------------------------

    def start_device(self, user_id: str, provider_id: str, started: DeviceFlow) -> OAuthState:
        """Keep what a provider answered to a device flow; show the user its code and address.

        Raises:
            ForeignKeyViolation: there is no such user or provider.
            CheckViolation: an interval under a second or over an hour.
        """
        key = new_id()
        sealed = self._secrets.seal(started.device_code, column="device_code", row=key, owner=user_id)
        return self.add(
            id=key,
            user_id=user_id,
            provider_id=provider_id,
            flow="device_flow",
            device_code=sealed,
            user_code=started.user_code,
            verification_uri=started.verification_uri,
            interval_s=started.interval_s,
            expires_at=self.engine.clock() + timedelta(seconds=started.expires_in_s),
        )

    def start_redirect(
        self,
        user_id: str,
        provider_id: str,
        *,
        redirect_uri: str | None = None,
        ttl: timedelta = _REDIRECT_TTL,
    ) -> StartedRedirect:
        """Begin a redirect and give its `state` and PKCE verifier; only the hash of the state is stored.

        Raises:
            ForeignKeyViolation: there is no such user or provider.
        """
        key, state, verifier = new_id(), new_token(43), new_token(64)
        row = self.add(
            id=key,
            user_id=user_id,
            provider_id=provider_id,
            flow="redirect",
            state=token_hash(state),
            code_verifier=self._secrets.seal(verifier, column="code_verifier", row=key, owner=user_id),
            redirect_uri=redirect_uri,
            expires_at=self.engine.clock() + ttl,
        )
        return StartedRedirect(row, state, verifier)

    # -- under way ---------------------------------------------------------------------------------

    def take_turn(self, user_id: str, key: str) -> str | None:
        """Give the device code if it is time to ask the provider again, else None.

        Of several that ask at once, one is given it; the next turn is an interval later.

        Raises:
            NotFound: the user has no such sign-in.
            InvalidTransition: it has ended or run out, or is no device flow.
            SecretUnreadable: the code was changed or moved, or its key is not there.
        """
        row = self._pending(user_id, key)
        if row.device_code is None:
            self._refuse(row, "polled")
        now = self.engine.clock()
        before = encode_utc(now - timedelta(seconds=row.interval_s))
        sql = (
            "UPDATE oauth_state SET last_polled_at = ? WHERE id = ? AND status = 'pending'"
            " AND (last_polled_at IS NULL OR last_polled_at <= ?)"
        )
        if not self._write(self.engine.dialect.sql(sql), (encode_utc(now), key, before)):
            return None
        return self._secrets.open(row.device_code, column="device_code", row=key, owner=user_id)

    def slow_down(self, user_id: str, key: str) -> None:
        """Wait 5 seconds longer between turns from now on, as the provider's `slow_down` asks.

        Raises:
            NotFound: the user has no such sign-in.
            CheckViolation: the interval is an hour already.
        """
        sql = "UPDATE oauth_state SET interval_s = interval_s + ? WHERE id = ? AND user_id = ?"
        if not self._write(self.engine.dialect.sql(sql), (_SLOWER_S, key, user_id)):
            raise self._not_of(key)

    def take_redirect(self, user_id: str, state: str) -> FinishedRedirect:
        """Take a `state` back that a provider sent along, exactly once, and give the verifier for the token.

        Raises:
            NotFound: it is not one of this user, was taken before, or has run out.
            SecretUnreadable: the verifier was changed or moved, or its key is not there; try again with it.
        """
        now = encode_utc(self.engine.clock())
        sql = (
            "UPDATE oauth_state SET last_polled_at = ? WHERE state = ? AND user_id = ? AND status = 'pending'"
            f" AND last_polled_at IS NULL AND expires_at > ? RETURNING {self.shape.columns}"
        )
        with self.engine.transaction():
            found = self._write_one(self.engine.dialect.sql(sql), (now, token_hash(state), user_id, now))
            row = None if found is None else self.shape.build(found, self)
            if row is None or row.code_verifier is None:
                raise NotFound("this state is not good", why="it was used, has run out, or is another user's")
            sealed = row.code_verifier
            verifier = self._secrets.open(sealed, column="code_verifier", row=row.id, owner=user_id)
        return FinishedRedirect(row, verifier)

    def page_of(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[OAuthState]:
        """Give one page of a user's sign-ins, the newest first."""
        return self.page(user_id=user_id, order_by=("-id",), size=size, after=after)

    # -- the end -----------------------------------------------------------------------------------

    def complete(self, user_id: str, key: str, tokens: ProviderTokens) -> ProviderCredential:
        """End a sign-in well, and make its tokens the user's credential at the provider, in one transaction.

        Raises:
            NotFound: the user has no such sign-in.
            InvalidTransition: it has ended or run out; the credential is as it was.
        """
        with self.engine.transaction():
            row = self._end(user_id, key, "completed")
            auth_type = "device_flow" if row.flow == "device_flow" else "oauth"
            return self._credentials.set_tokens(user_id, row.provider_id, tokens, auth_type=auth_type)

    def deny(self, user_id: str, key: str) -> None:
        """End a sign-in that the user said no to.

        Raises:
            NotFound, InvalidTransition: as `complete`.
        """
        with self.engine.transaction():
            self._end(user_id, key, "denied")

    def fail(self, user_id: str, key: str, message: str) -> None:
        """End a sign-in with an error, which is shown to the user: no secrets in it.

        Raises:
            NotFound, InvalidTransition: as `complete`.
        """
        with self.engine.transaction():
            self._end(user_id, key, "failed", error_message=message)

    def expire_due(self, *, batch: int = 500) -> int:
        """End all sign-ins that have run out, `batch` in a statement; gives their number."""
        return self._in_batches(
            "UPDATE oauth_state SET status = 'expired', device_code = NULL, code_verifier = NULL",
            "status = 'pending' AND expires_at <= ?",
            encode_utc(self.engine.clock()),
            batch,
        )

    def delete_ended(self, *, older_than: timedelta = timedelta(days=7), batch: int = 500) -> int:
        """Delete sign-ins that have ended and ran out so long ago, `batch` in a statement."""
        until = encode_utc(self.engine.clock() - older_than)
        return self._in_batches(
            "DELETE FROM oauth_state", "status <> 'pending' AND expires_at <= ?", until, batch
        )

    # -- pieces ------------------------------------------------------------------------------------

    def _in_batches(self, verb: str, condition: str, moment: str, batch: int) -> int:
        dialect = self.engine.dialect
        few = f"SELECT id FROM oauth_state WHERE {condition} ORDER BY expires_at, id LIMIT ?"
        sql = dialect.sql(f"{verb} WHERE {dialect.in_few('id', few)}")
        done, count = 0, batch
        while count == batch:
            count = self._write(sql, (moment, batch))
            done += count
        return done

    def _end(self, user_id: str, key: str, status: str, **changes: Any) -> OAuthState:
        """End a pending sign-in; inside a transaction, whose lock on the row keeps others away."""
        row = self._pending(user_id, key, lock=True)
        self.update(key, status=status, **_ENDED, **changes)
        return row

    def _pending(self, user_id: str, key: str, *, lock: bool = False) -> OAuthState:
        row = (self.for_update() if lock else self).one_or_none(id=key, user_id=user_id)
        if row is None:
            raise self._not_of(key)
        if row.status != "pending" or row.expires_at <= self.engine.clock():
            self._refuse(row, "ended" if lock else "polled")
        return row

    def _refuse(self, row: OAuthState, wanted: str) -> NoReturn:
        current = row.status if row.status != "pending" else row.flow
        has_run_out = row.status == "pending" and row.expires_at <= self.engine.clock()
        raise InvalidTransition(
            f"the sign-in {row.id!r} cannot be {wanted}",
            current="expired" if has_run_out else current,
            wanted=wanted,
            why="it has run out" if has_run_out else f"it is {current}",
            hint="begin another one",
        )

    def _not_of(self, key: str) -> NotFound:
        return NotFound(f"no sign-in of this user answers to {key!r}")
