"""Who administers the app, and the audit trail of what was done.

The trail only grows: the database refuses to change or delete an entry, and no deletion of a user or a
workspace reaches it, since an entry holds their ids as plain facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Model, Timestamps
from datalayer.repository.page import Page
from datalayer.repository.reader import Reader

__all__ = ["AdminRole", "AdminUser", "AdminUsers", "AuditContext", "AuditEntry", "AuditTrail"]

AdminRole = Literal["support", "admin", "superadmin"]
_RANK: Mapping[str, int] = {"support": 0, "admin": 1, "superadmin": 2}


class AuditEntry(Model):
    """One thing that was done: by whom, to what, from where."""

    id = IdField()
    actor_id = peewee.TextField(null=True)
    workspace_id = peewee.TextField(null=True)
    action = peewee.TextField()
    entity_type = peewee.TextField(default="")
    entity_id = peewee.TextField(null=True)
    details = JSONField(default=dict)
    ip_address = peewee.TextField(null=True)
    user_agent = peewee.TextField(null=True)
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "audit_logs"


class AuditContext(TypedDict, total=False):
    """What can be said of an entry besides its action; nothing secret belongs into `details`."""

    actor_id: str | None
    workspace_id: str | None
    entity_type: str
    entity_id: str | None
    details: Mapping[str, Any]
    ip_address: str | None
    user_agent: str | None


class AuditTrail(Reader[AuditEntry]):
    """`store.workspaces.audit`: entries are appended and read; there is no other verb."""

    def __init__(
        self, engine: Engine, model: type[AuditEntry] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._entries = Repository(engine, AuditEntry)

    def append(self, action: str, **context: Unpack[AuditContext]) -> AuditEntry:
        """Add an entry, within the transaction that does what it tells of.

            with store.transaction():
                store.workspaces.audit.append("user.suspend", actor_id=admin, entity_id=key)

        Raises:
            CheckViolation: no action is named, or `details` cannot be stored as JSON.
        """
        return self._entries.add(action=action, created_at=self.engine.clock(), **context)

    def page_newest(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        size: int = 50,
        after: str | None = None,
        **equals: Any,
    ) -> Page[AuditEntry]:
        """Give one page of the trail, the newest entry first: those from `since` to before `until`.

        `equals` are fields as for `find`; those of actor, action, entity and workspace have an index.
        """
        times: list[Any] = []
        if since is not None:
            times.append(AuditEntry.created_at >= since)
        if until is not None:
            times.append(AuditEntry.created_at < until)
        return self.page(*times, order_by=("-created_at", "-id"), size=size, after=after, **equals)


class AdminUser(Timestamps):
    """A user who administers the app, until `revoked_at`."""

    id = IdField()
    user_id = peewee.TextField()
    role = cast("peewee.Field[AdminRole]", peewee.TextField(default="support"))
    granted_by = peewee.TextField(null=True)
    revoked_at = cast("peewee.Field[datetime | None]", UtcField(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "admin_users"

    @property
    def is_active(self) -> bool:
        """Whether the user administered the app when this row was read."""
        return self.revoked_at is None


class AdminUsers(Repository[AdminUser]):
    """`store.workspaces.admins`: roles in the order `support`, `admin`, `superadmin`, granted and revoked.

    Each change is an entry of the audit trail, in the same transaction.
    """

    def __init__(
        self, engine: Engine, model: type[AdminUser] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._audit = AuditTrail(engine)

    def grant(self, user_id: str, role: AdminRole = "support", *, granted_by: str | None = None) -> AdminUser:
        """Make a user an administrator, or give one another role; a role that was revoked comes back.

        `granted_by` None is the app itself, which makes the first superadmin.

        Raises:
            NotFound: `granted_by` is no superadmin.
            InvalidTransition: the last superadmin would become something less.
            ForeignKeyViolation: there is no such user.
            CheckViolation: there is no such role.
        """
        with self.engine.transaction():
            supers = self._lock_superadmins()
            if granted_by is not None and granted_by not in supers:
                raise self._no_admin(granted_by)
            if role != "superadmin":
                _refuse_last(supers, user_id, role)
            admin = self.upsert(
                user_id=user_id, role=role, granted_by=granted_by, revoked_at=None, on=("user_id",)
            )
            self._tell("admin.grant", granted_by, user_id, {"role": role})
        return admin

    def revoke(self, user_id: str, *, revoked_by: str | None = None) -> AdminUser:
        """Take the role of an administrator away; the row stays, with the time.

        Raises:
            NotFound: the user is no administrator, or `revoked_by` no superadmin.
            InvalidTransition: it is the last superadmin.
        """
        with self.engine.transaction():
            supers = self._lock_superadmins()
            if revoked_by is not None and revoked_by not in supers:
                raise self._no_admin(revoked_by)
            admin = self.for_update().one_or_none(user_id=user_id, revoked_at=None)
            if admin is None:
                raise self._no_admin(user_id)
            _refuse_last(supers, user_id, "revoked")
            self.update(admin, revoked_at=self.engine.clock())
            self._tell("admin.revoke", revoked_by, user_id, {"role": admin.role})
        return admin

    def is_admin(self, user_id: str, at_least: AdminRole = "support") -> bool:
        """Say whether a user has this role, or one above it, now."""
        admin = self.one_or_none(user_id=user_id, revoked_at=None)
        return admin is not None and _RANK[admin.role] >= _RANK[at_least]

    def require(self, user_id: str, at_least: AdminRole = "support") -> AdminUser:
        """Give an active administrator of this role, or of one above it.

        Raises:
            NotFound: the user is none.
        """
        admin = self.one_or_none(user_id=user_id, revoked_at=None)
        if admin is None or _RANK[admin.role] < _RANK[at_least]:
            raise self._no_admin(user_id)
        return admin

    def find_active(self, role: AdminRole | None = None) -> list[AdminUser]:
        """Give the active administrators, all or those of one role, in the order in which they came."""
        wanted: dict[str, Any] = {} if role is None else {"role": role}
        return self.find(revoked_at=None, **wanted)

    def _lock_superadmins(self) -> set[str]:
        """Lock all active superadmins, in one order, so that no two of them revoke each other."""
        return {admin.user_id for admin in self.for_update().find(role="superadmin", revoked_at=None)}

    def _no_admin(self, user_id: str) -> NotFound:
        return NotFound(f"no administrator of that role answers to {user_id!r}")

    def _tell(self, action: str, actor_id: str | None, user_id: str, details: Mapping[str, Any]) -> None:
        self._audit.append(action, actor_id=actor_id, entity_type="user", entity_id=user_id, details=details)


def _refuse_last(supers: set[str], user_id: str, wanted: str) -> None:
    if supers == {user_id}:
        raise InvalidTransition(
            f"{user_id!r} is the last superadmin",
            current="superadmin",
            wanted=wanted,
            hint="make another user superadmin first",
        )
