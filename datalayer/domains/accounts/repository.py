"""The repository of users: signing up, finding, suspending, and what proves who somebody is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import peewee

from datalayer.domains.accounts.links import PASSWORD, AuthAccounts
from datalayer.domains.accounts.model import AuthAccount, User
from datalayer.domains.accounts.passwords import (
    PasswordCost,
    hash_password,
    is_outdated,
    matches,
    refuse_weak,
)
from datalayer.domains.accounts.signins import AuthSessions
from datalayer.domains.accounts.verifications import AuthVerifications
from datalayer.engine.connection import Engine
from datalayer.errors import InvalidTransition, NotFound
from datalayer.repository.base import Repository

__all__ = ["Accounts"]

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_WRONG = "no user answers to this e-mail and password"


class Accounts(Repository[User]):
    """`store.accounts`: the users; `sessions`, `links` and `verifications` hold how they sign in.

    `password_cost` is what new passwords are hashed at. Deleting a user takes all that is theirs along, in
    every domain; activity stays and forgets whose it was.

        user = store.accounts.sign_up("ada@example.org", "correct horse", display_name="Ada")
        user = store.accounts.verify_password("Ada@Example.org", "correct horse")
        opened = store.accounts.sessions.open(user.id)
    """

    def __init__(
        self,
        engine: Engine,
        model: type[User] | None = None,
        *,
        data_dir: Path | None = None,
        password_cost: PasswordCost | None = None,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.password_cost = password_cost or PasswordCost()
        self.sessions = AuthSessions(engine, data_dir=data_dir)
        self.links = AuthAccounts(engine, data_dir=data_dir)
        self.verifications = AuthVerifications(engine, data_dir=data_dir)

    # -- users -------------------------------------------------------------------------------------

    def sign_up(self, email: str | None = None, password: str | None = None, **profile: Any) -> User:
        """Add a user, with a password where one is given; `profile` are fields of the user.

        Raises:
            UniqueViolation: the e-mail is another user's.
            CheckViolation: it is no e-mail, or the password is too short.
        """
        made = None if password is None else self._hashed(password)
        with self.engine.transaction():
            user = self.add(email=email, **profile)
            if made is not None:
                self.links.add(provider_id=PASSWORD, account_id=user.id, user_id=user.id, password_hash=made)
        return user

    def get_by_email(self, email: str) -> User:
        """Give the user of an e-mail, in whatever case its letters A to Z are written.

        Raises:
            NotFound: there is none.
        """
        user = self.get_by_email_or_none(email)
        if user is None:
            raise NotFound("no User answers to this e-mail")
        return user

    def get_by_email_or_none(self, email: str) -> User | None:
        """Give the user of an e-mail, or None."""
        dialect = self.engine.dialect
        condition = f"{dialect.folded(self.shape.quoted['email'])} = ?"
        return self.first(peewee.SQL(dialect.sql(condition), (email.translate(_LOWER),)))

    def get_by_link(self, provider_id: str, account_id: str) -> User:
        """Give the user to whom an account elsewhere is linked.

        Raises:
            NotFound: nobody's.
        """
        link = self.links.one_or_none(provider_id=provider_id, account_id=account_id)
        if link is None:
            raise NotFound(f"no User has this account at {provider_id}")
        return self.get(link.user_id)

    def suspend(self, user_id: str, reason: str | None = None) -> None:
        """Suspend a user: all sessions end, and none is opened any more.

        Raises:
            NotFound: there is no such user.
        """
        self.update(user_id, suspended=True, suspended_reason=reason)

    def reinstate(self, user_id: str) -> None:
        """Let a suspended user sign in again.

        Raises:
            NotFound: there is no such user.
        """
        self.update(user_id, suspended=False, suspended_reason=None)

    # -- the e-mail --------------------------------------------------------------------------------

    def change_email(self, user_id: str, email: str | None) -> None:
        """Give a user another e-mail, not verified unless only the case of letters changed.

        Raises:
            NotFound: there is no such user.
            UniqueViolation: it is another user's.
            CheckViolation: it is no e-mail.
        """
        changes = {"email": email} if email is not None else {"email": None, "email_verified": False}
        self.update(user_id, **changes)

    def request_email_check(self, user_id: str, *, ttl: timedelta = _DAY) -> str:
        """Give a token to be sent to the user's e-mail, for `confirm_email`.

        Raises:
            NotFound: there is no such user, or one without e-mail.
        """
        return self.verifications.create(self._email_identifier(self.get(user_id)), ttl=ttl)

    def confirm_email(self, user_id: str, token: str) -> None:
        """Take the token back: the e-mail that it was made for, and that the user still has, is verified.

        Raises:
            NotFound: the token is not good for this user and e-mail.
        """
        with self.engine.transaction():
            user = self.for_update().get(user_id)
            self.verifications.consume(self._email_identifier(user), token)
            self.update(user_id, email_verified=True)

    # -- the password ------------------------------------------------------------------------------

    def verify_password(self, email: str, password: str) -> User:
        """Give the user of an e-mail and password.

        An unknown e-mail takes as long as a wrong password. A hash of another cost than `password_cost` is
        replaced.

        Raises:
            NotFound: no user answers to both.
            InvalidTransition: the password is right, and the user is suspended.
        """
        user = self.get_by_email_or_none(email)
        link = None if user is None else self._password_of(user.id)
        stored = None if link is None else link.password_hash
        if user is None or link is None or stored is None:
            hash_password(password, self.password_cost)
            raise NotFound(_WRONG)
        if not matches(password, stored):
            raise NotFound(_WRONG)
        if user.suspended:
            raise InvalidTransition(f"user {user.id!r} is suspended", current="suspended", wanted="signed in")
        if is_outdated(stored, self.password_cost):
            changes = {"password_hash": hash_password(password, self.password_cost)}
            self.links.update_where(id=link.id, password_hash=stored, changes=changes)
        return user

    def set_password(self, user_id: str, password: str, *, keep_token: str | None = None) -> None:
        """Give a user this password; all sessions end, but the one of `keep_token`.

        Raises:
            NotFound: there is no such user.
            CheckViolation: it is too short.
        """
        made = self._hashed(password)
        with self.engine.transaction():
            self._set_password(user_id, made, keep_token)

    def request_password_reset(self, user_id: str, *, ttl: timedelta = _HOUR) -> str:
        """Give a token to be sent to the user, for `reset_password`.

        Raises:
            NotFound: there is no such user.
        """
        return self.verifications.create(_reset_identifier(self.get(user_id).id), ttl=ttl)

    def reset_password(self, user_id: str, token: str, password: str) -> None:
        """Take the token back and give the user this password; all sessions end.

        Raises:
            NotFound: the token is not good for this user; nothing was changed.
            CheckViolation: the password is too short; the token is still good.
        """
        made = self._hashed(password)
        with self.engine.transaction():
            self.verifications.consume(_reset_identifier(user_id), token)
            self._set_password(user_id, made, None)

    # -- pieces ------------------------------------------------------------------------------------

    def _hashed(self, password: str) -> str:
        refuse_weak(password)
        return hash_password(password, self.password_cost)

    def _set_password(self, user_id: str, made: str, keep_token: str | None) -> None:
        self.for_update().get(user_id)
        values = {"account_id": user_id, "provider_id": PASSWORD, "password_hash": made}
        if not self.links.update_where(
            provider_id=PASSWORD, account_id=user_id, changes={"password_hash": made}
        ):
            self.links.add(**values, user_id=user_id)
        self.sessions.revoke_all(user_id, keep_token=keep_token)

    def _password_of(self, user_id: str) -> AuthAccount | None:
        return self.links.one_or_none(provider_id=PASSWORD, account_id=user_id)

    def _email_identifier(self, user: User) -> str:
        if user.email is None:
            raise NotFound(f"user {user.id!r} has no e-mail", hint="give one with change_email()")
        return f"email:{user.id}:{user.email.translate(_LOWER)}"


def _reset_identifier(user_id: str) -> str:
    return f"password:{user_id}"
