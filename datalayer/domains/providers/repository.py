"""The repository of providers: which there are, which are offered, which one is meant where none is named."""

from __future__ import annotations

from pathlib import Path

from datalayer.domains.providers.credentials import ProviderCredentials
from datalayer.domains.providers.flows import OAuthStates
from datalayer.domains.providers.model import Provider
from datalayer.engine.connection import Engine
from datalayer.errors import NotFound
from datalayer.repository.base import Repository

__all__ = ["Providers"]

_IN_ORDER = ("position", "id")


class Providers(Repository[Provider]):
    """`store.providers`: the providers; `credentials` and `sign_ins` hold what users have there.

    The schema brings the well-known ones along; an app adds its own with `add` or `upsert`.

        store.providers.credentials.set_api_key(user_id, store.providers.get_default().id, "sk-...")
    """

    def __init__(
        self, engine: Engine, model: type[Provider] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.credentials = ProviderCredentials(engine, data_dir=data_dir)
        self.sign_ins = OAuthStates(engine, data_dir=data_dir)

    def find_enabled(self, *, auth_type: str | None = None) -> list[Provider]:
        """Give the providers that are offered, in their order; those with this way to sign in, if named."""
        rows = self.find(is_enabled=True, order_by=_IN_ORDER)
        return rows if auth_type is None else [row for row in rows if auth_type in row.auth_types]

    def get_default(self) -> Provider:
        """Give the provider that is meant where none is named.

        Raises:
            NotFound: none is.
        """
        row = self.one_or_none(is_default=True)
        if row is None:
            raise NotFound("no Provider is the default", hint="choose one with set_default()")
        return row

    def set_default(self, key: str) -> None:
        """Make a provider the default one, and no other.

        Raises:
            NotFound: there is no such provider.
            CheckViolation: it is disabled (`providers_default_enabled`).
        """
        with self.engine.transaction():
            # all rows are locked in one order: two that choose at once do so one after the other
            self.for_update().find(order_by=("id",))
            self.update_where(is_default=True, changes={"is_default": False})
            self.update(key, is_default=True)

    def enable(self, key: str) -> None:
        """Offer a provider.

        Raises:
            NotFound: there is no such provider.
        """
        self.update(key, is_enabled=True)

    def disable(self, key: str) -> None:
        """Offer a provider no more; credentials there are kept.

        Raises:
            NotFound: there is no such provider.
            CheckViolation: it is the default (`providers_default_enabled`).
        """
        self.update(key, is_enabled=False)
