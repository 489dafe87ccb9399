"""Administrators, and the trail of what was done."""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, InvalidTransition, NotFound
from datalayer.domains.workspaces import AdminUsers, AuditTrail
from datalayer.store import Store

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def admins(store: Store, clock: Clock) -> AdminUsers:
    return store.workspaces.admins


@pytest.fixture
def audit(store: Store, clock: Clock) -> AuditTrail:
    return store.workspaces.audit


def test_roles_are_granted_by_superadmins(admins: AdminUsers, ann: str, ben: str, cleo: str) -> None:
    admins.grant(ann, "superadmin")
    admins.grant(ben, "admin", granted_by=ann)
    with pytest.raises(NotFound):
        admins.grant(cleo, granted_by=ben)
    with pytest.raises(NotFound):
        admins.revoke(ann, revoked_by=cleo)
    with pytest.raises(ForeignKeyViolation):
        admins.grant("nobody")

    assert admins.is_admin(ben)
    assert admins.is_admin(ben, "admin")
    assert not admins.is_admin(ben, "superadmin")
    assert not admins.is_admin(cleo)
    assert admins.require(ann, "admin").role == "superadmin"
    with pytest.raises(NotFound):
        admins.require(ben, "superadmin")
    assert [admin.user_id for admin in admins.find_active()] == [ann, ben]
    assert [admin.user_id for admin in admins.find_active("admin")] == [ben]


def test_a_role_that_was_revoked_comes_back(admins: AdminUsers, clock: Clock, ann: str, ben: str) -> None:
    admins.grant(ann, "superadmin")
    first = admins.grant(ben, "admin", granted_by=ann)
    clock.move(60)
    revoked = admins.revoke(ben, revoked_by=ann)
    assert revoked.revoked_at == clock.now
    assert not revoked.is_active
    assert not admins.is_admin(ben)
    with pytest.raises(NotFound):
        admins.revoke(ben)
    again = admins.grant(ben, granted_by=ann)

    assert (again.id, again.role, again.is_active) == (first.id, "support", True)
    assert admins.count() == 2


def test_the_last_superadmin_stays(admins: AdminUsers, ann: str, ben: str) -> None:
    admins.grant(ann, "superadmin")
    for refused in (lambda: admins.revoke(ann), lambda: admins.grant(ann, "admin", granted_by=ann)):
        with pytest.raises(InvalidTransition):
            refused()
    admins.grant(ben, "superadmin", granted_by=ann)

    assert admins.grant(ann, "admin", granted_by=ben).role == "admin"


def test_what_administrators_do_is_on_the_trail(
    admins: AdminUsers, audit: AuditTrail, clock: Clock, ann: str, ben: str
) -> None:
    admins.grant(ann, "superadmin")
    clock.move(1)
    admins.grant(ben, granted_by=ann)
    clock.move(1)
    admins.revoke(ben, revoked_by=ann)
    with pytest.raises(InvalidTransition):
        admins.revoke(ann)

    told = [(entry.action, entry.actor_id, entry.entity_id) for entry in audit.page_newest().items]
    assert told == [("admin.revoke", ann, ben), ("admin.grant", ann, ben), ("admin.grant", None, ann)]


def test_the_trail_is_read_by_pages_the_newest_first(audit: AuditTrail, clock: Clock, ann: str) -> None:
    start = clock.now
    for number in range(5):
        audit.append(f"act{number % 2}", actor_id=ann, entity_type="thing", details={"number": number})
        clock.move(1)

    first = audit.page_newest(size=3)
    second = audit.page_newest(size=3, after=first.next)
    assert [entry.details["number"] for entry in (*first.items, *second.items)] == [4, 3, 2, 1, 0]
    assert [entry.details["number"] for entry in audit.page_newest(action="act1").items] == [3, 1]
    since, until = clock.move(-4), clock.move(2)
    assert (since > start, until > since) == (True, True)
    assert [entry.details["number"] for entry in audit.page_newest(since=since, until=until).items] == [2, 1]


def test_an_entry_belongs_to_the_transaction_that_it_tells_of(store: Store, audit: AuditTrail) -> None:
    with pytest.raises(CheckViolation), store.transaction():
        audit.append("act")
        audit.append("")

    assert audit.count() == 0


def test_the_trail_has_no_verb_that_changes_it(audit: AuditTrail) -> None:
    assert [
        verb for verb in ("add", "update", "delete", "upsert", "update_where") if hasattr(audit, verb)
    ] == []


def test_an_entry_is_not_changed_through_a_repository_of_the_apps_own(
    store: Store, audit: AuditTrail
) -> None:
    entry = audit.append("act")
    plain = store.repository(type(entry))
    for refused in (
        lambda: plain.update(entry.id, action="other"),
        lambda: plain.delete(entry.id),
        lambda: plain.upsert(entry),
    ):
        with pytest.raises(CheckViolation) as caught:
            refused()

        assert caught.value.constraint == "audit_logs_append_only"
    assert audit.get(entry.id).action == "act"
