"""Sandboxes: the rows and their moves, with the repositories of what belongs to sandboxes and users."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from datalayer.domains.sandboxes.chats import ChatSessions
from datalayer.domains.sandboxes.knowledge import KnowledgeDocuments
from datalayer.domains.sandboxes.model import (
    SANDBOX_MOVES,
    SANDBOX_STATUSES,
    ContainerAddon,
    ContainerFacts,
    ContainerFlavor,
    ResourceTier,
    Sandbox,
    SandboxChanges,
    SandboxOptions,
)
from datalayer.domains.sandboxes.onboarding import OnboardingSessions
from datalayer.domains.sandboxes.preferences import OpencodeConfigs, OpencodeFiles, Preferences, Settings
from datalayer.domains.sandboxes.slug import free_slug, slug_of
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, InvalidTransition
from datalayer.repository.owned import Owned
from datalayer.repository.page import Page
from datalayer.repository.reader import Reader

__all__ = ["Addons", "Flavors", "Sandboxes", "Tiers"]


class Tiers(Reader[ResourceTier]):
    """`store.sandboxes.tiers`: to be read only; migrations bring them."""


class Flavors(Reader[ContainerFlavor]):
    """`store.sandboxes.flavors`: to be read only; migrations bring them."""


class Addons(Reader[ContainerAddon]):
    """`store.sandboxes.addons`: to be read only; migrations bring them."""


class Sandboxes(Owned[Sandbox]):
    """`store.sandboxes`: the containers in which users work.

    created -> starting -> running -> stopping -> stopped -> starting; all lead to error, and out of it again.
    The database holds the moves, whoever writes. A method that takes `user_id` answers NotFound for another
    user's row; those without are for what runs the containers.

        sandbox = store.sandboxes.create(user.id, "My site")
        store.sandboxes.set_status(sandbox.id, "starting")
        store.sandboxes.set_status(sandbox.id, "running", container_id="4ad1")
    """

    def __init__(
        self, engine: Engine, model: type[Sandbox] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.tiers = Tiers(engine)
        self.flavors = Flavors(engine)
        self.addons = Addons(engine)
        self.chats = ChatSessions(engine)
        self.onboarding = OnboardingSessions(engine)
        self.knowledge = KnowledgeDocuments(engine)
        self.preferences = Preferences(engine)
        self.opencode_config = OpencodeConfigs(engine)
        self.opencode_files = OpencodeFiles(engine)
        self.settings = Settings(engine)

    # -- making and changing -----------------------------------------------------------------------

    def create(self, user_id: str, name: str, **options: Unpack[SandboxOptions]) -> Sandbox:
        """Add a sandbox, with a slug that the user has for no other one, and give it.

        The slug is made from the name, ending in -2, -3, ... where that is taken; any number of processes
        may do so at once. Two statements, two more for each time that another one was quicker.

        Raises:
            UniqueViolation: the slug was given, and is taken.
            CheckViolation: the name is empty, the slug has other characters than a-z 0-9 -, or an addon is
            unknown.
            ForeignKeyViolation: there is no such user, tier or flavor.
        """
        self._check_addons(options.get("addon_ids", ()))
        values: dict[str, Any] = {**options, "user_id": user_id, "name": name}
        if "slug" in options:
            return self.add(**values)
        base = slug_of(name)
        while True:
            slug = free_slug(base, self._taken(user_id, base))
            made = self.add_unless(("user_id", "slug"), {**values, "slug": slug})
            if made is not None:
                return made

    def edit(self, key: str, *, user_id: str, **changes: Unpack[SandboxChanges]) -> Sandbox:
        """Change what is given of a user's sandbox, and give it.

        The slug stays when the name changes.

        Raises:
            NotFound: there is none, or it is another user's.
            UniqueViolation: the slug is taken.
            CheckViolation, ForeignKeyViolation: as `create`.
        """
        self._check_addons(changes.get("addon_ids", ()))
        return self._edit(key, user_id, changes)

    def _taken(self, user_id: str, base: str) -> list[str]:
        """Give the slugs of a user that begin like one and may be in its way."""
        # an ending makes a long slug shorter first
        stem = base[:50].rstrip("-")
        sql = f"SELECT slug FROM {self.shape.table} WHERE user_id = ? AND slug >= ? AND slug < ?"
        found = self.engine.fetch_all(self.engine.dialect.sql(sql), (user_id, stem, f"{stem}~"))
        return [slug for (slug,) in found]

    def _check_addons(self, addon_ids: Sequence[str]) -> None:
        wanted = list(addon_ids)
        if not wanted:
            return
        known = {addon.id for addon in self.addons.find(id=wanted)}
        unknown = [addon for addon in wanted if addon not in known]
        if unknown:
            raise CheckViolation(
                f"no addon answers to {', '.join(map(repr, unknown))}",
                table="sandboxes",
                columns=("addon_ids",),
                hint="store.sandboxes.addons.find() gives those that there are",
            )

    # -- moving ------------------------------------------------------------------------------------

    def set_status(
        self,
        key: str,
        to: str,
        *,
        user_id: str | None = None,
        error_message: str | None = None,
        **facts: Unpack[ContainerFacts],
    ) -> Sandbox:
        """Move a sandbox to another status, with what is known of its container then, and give it.

        One statement decides, so of two at once the second sees what the first did. `error_message` is for
        a move to error; it goes with the next move. With `user_id` only that user's sandbox is moved.

        Raises:
            InvalidTransition: the present status does not lead there; nothing was written.
            NotFound: there is none, or it is another user's.
            CheckViolation: a running sandbox needs a `container_id`.
            UniqueViolation: another sandbox has this container.
        """
        origins = [status for status, goals in SANDBOX_MOVES.items() if to in goals]
        changes: dict[str, Any] = {**facts, "status": to, "error_message": None}
        if to == "error":
            changes["error_message"] = error_message
        owner = {} if user_id is None else {"user_id": user_id}
        with self.engine.transaction():
            if origins and self.update_where(id=key, status=origins, changes=changes, **owner):
                return self.get(key)
            found = self.one_or_none(id=key, **owner)
        if found is None:
            raise self._not_found(key)
        raise InvalidTransition(
            f"sandbox {key!r} is {found.status}, which does not lead to {to}",
            current=found.status,
            wanted=to,
            hint=f"from {found.status} lead: {', '.join(SANDBOX_MOVES[found.status])}",
        )

    def start(self, key: str, *, user_id: str) -> Sandbox:
        """Have a user's sandbox started: it is `starting` from now on.

        Raises:
            InvalidTransition, NotFound: as `set_status`.
        """
        return self.set_status(key, "starting", user_id=user_id)

    def stop(self, key: str, *, user_id: str) -> Sandbox:
        """Have a user's sandbox stopped: it is `stopping` from now on.

        Raises:
            InvalidTransition, NotFound: as `set_status`.
        """
        return self.set_status(key, "stopping", user_id=user_id)

    def record_container(self, key: str, **facts: Unpack[ContainerFacts]) -> Sandbox:
        """Note what is known of a sandbox's container, whatever its status.

        Raises:
            NotFound: there is no such sandbox.
            UniqueViolation: another sandbox has this container.
        """
        with self.engine.transaction():
            self.update(key, **facts)
            return self.get(key)

    def record_access(self, key: str, *, user_id: str) -> None:
        """Note that a user's sandbox is used now.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        now = self.engine.clock()
        if not self.update_where(id=key, user_id=user_id, changes={"last_accessed_at": now}):
            raise self._not_found(key)

    # -- finding -----------------------------------------------------------------------------------

    def get_by_slug(self, slug: str, *, user_id: str) -> Sandbox:
        """Give the sandbox that a user has under this slug.

        Raises:
            NotFound: the user has none.
        """
        return self.one(user_id=user_id, slug=slug)

    def newest_of_status(self, status: str, *, size: int = 50, after: str | None = None) -> Page[Sandbox]:
        """Give a page of all users' sandboxes with this status, newest first."""
        return self.page(status=status, order_by="-id", size=size, after=after)

    def counts_by_status(self, *, user_id: str | None = None) -> dict[str, int]:
        """Give the number of sandboxes of every status, 0 where there is none, of one user or of all."""
        where, params = ("", ()) if user_id is None else (" WHERE user_id = ?", (user_id,))
        sql = f"SELECT status, COUNT(*) FROM {self.shape.table}{where} GROUP BY status"
        found = dict(self.engine.fetch_all(self.engine.dialect.sql(sql), params))
        return {status: int(found.get(status, 0)) for status in SANDBOX_STATUSES}
