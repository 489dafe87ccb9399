"""Activity: logged, shown page by page, made anonymous, archived; with its rules broken by raw SQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation
from datalayer.domains.activity import CHECKS, Activity, ActivityEntry
from datalayer.schema.check.rule import broken_rules
from datalayer.schema.history import package_folder
from datalayer.schema.snapshot import read_text
from datalayer.store import Store
from datalayer.testing.strategies import activity as strategies

PERSONAL = {
    "metadata": {"plan": "b"},
    "ip_address": "192.0.2.7",
    "user_agent": "browser",
    "entity_type": "sandbox",
    "entity_id": "s1",
}
TABLES = frozenset({"activity_log", "activity_log_archive"})


def told(store: Store) -> list[tuple[str, int]]:
    return [(one.id, one.count) for one in broken_rules(store.engine, CHECKS, tables=TABLES)]


def said(entry: ActivityEntry) -> dict[str, Any]:
    """Give what an entry tells of who and where."""
    return {
        name: entry.__data__[name]
        for name in ("user_id", "entity_id", "metadata", "ip_address", "user_agent")
        if entry.__data__[name]
    }


def test_what_is_logged_is_there_as_it_was_given(activity: Activity, clock: Clock) -> None:
    entry = activity.log("sandbox.start", user_id="ada", **PERSONAL)
    system = activity.log("cleanup")

    found = activity.get(entry.id)
    assert found.__data__ == entry.__data__
    assert (found.action, found.user_id, found.metadata) == ("sandbox.start", "ada", {"plan": "b"})
    assert (found.created_at, found.anonymized) == (clock.now, False)
    assert (system.user_id, activity.get(system.id).metadata) == (None, {})
    with pytest.raises(ForeignKeyViolation):
        activity.log("x", user_id="nobody")
    for wrong in ({"action": ""}, {"action": "x", "entity_id": "s1"}):
        with pytest.raises(CheckViolation):
            activity.log(**wrong)


def test_what_is_undone_is_not_logged(activity: Activity, store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        activity.log("x", user_id="ada")
        raise ZeroDivisionError

    assert activity.count() == 0


def test_pages_go_back_in_time_and_stay_in_place(activity: Activity, clock: Clock) -> None:
    for number in range(6):
        activity.log(f"a{number}", user_id="ada", entity_type="draft", entity_id=str(number % 2))
        activity.log("b", user_id="bob")
        clock.move(number % 2)  # some have the same time
    first = activity.page_for_user("ada", size=4)
    activity.log("a6", user_id="ada")
    second = activity.page_for_user("ada", size=4, after=first.next)

    assert [one.action for one in (*first.items, *second.items)] == ["a5", "a4", "a3", "a2", "a1", "a0"]
    assert second.next is None
    assert [one.action for one in activity.page_for_entity("draft", "1").items] == ["a5", "a3", "a1"]
    assert [one.action for one in activity.page_for_user("ada", action="a6").items] == ["a6"]
    assert activity.counts_by_action()["b"] == 6
    assert activity.counts_by_action(since=clock.now) == {"a6": 1}


def test_anonymous_activity_does_not_tell_who_it_was(activity: Activity, store: Store) -> None:
    mine = activity.log("sandbox.start", user_id="ada", **PERSONAL)
    theirs = activity.log("sandbox.start", user_id="bob", **PERSONAL)
    about = activity.log("user.block", user_id="bob", entity_type="user", entity_id="ada", metadata={"a": 1})

    assert activity.anonymize("ada") == 1
    assert activity.anonymize("ada") == 0
    forgotten = activity.get(mine.id)
    assert (said(forgotten), forgotten.anonymized) == ({}, True)
    assert (forgotten.action, forgotten.entity_type) == ("sandbox.start", "sandbox")
    assert activity.get(theirs.id).__data__ == theirs.__data__
    assert said(activity.get(about.id)) == {"user_id": "bob"}
    assert activity.page_for_user("ada").items == ()
    assert told(store) == []


def test_activity_outlives_its_user_and_is_anonymous_then(activity: Activity, store: Store) -> None:
    mine = activity.log("sandbox.start", user_id="ada", **PERSONAL)
    about = activity.log("user.block", user_id="bob", entity_type="user", entity_id="ada", metadata={"a": 1})
    store.engine.write("DELETE FROM users WHERE id = 'ada'")

    forgotten = activity.get(mine.id)
    assert (said(forgotten), forgotten.anonymized) == ({}, True)
    assert said(activity.get(about.id)) == {"user_id": "bob"}
    # by hand too
    store.engine.write("UPDATE activity_log SET user_id = NULL")
    assert all(one.anonymized for one in activity.find())
    assert all(said(one) == {} for one in activity.find())


def test_old_activity_is_moved_to_the_archive_without_anything_personal(
    activity: Activity, store: Store, clock: Clock
) -> None:
    old = [
        strategies.make_activity(store, days_ago=days, user_id="ada", **PERSONAL) for days in (91, 90.5, 400)
    ]
    kept = strategies.make_activity(store, days_ago=90, user_id="ada", **PERSONAL)

    assert activity.archive(batch=2) == 3
    assert activity.archive() == 0
    assert activity.one().__data__ == kept.__data__
    archived = activity.archived.find()
    assert {one.id for one in archived} == {one.id for one in old}
    for one in archived:
        assert (one.action, one.entity_type, one.archived_at) == ("login", "sandbox", clock.now)
    assert [(clock.now - one.created_at).days for one in activity.archived.newest().items] == [90, 91, 400]
    row = store.engine.fetch_one("SELECT * FROM activity_log_archive")
    assert row is not None
    assert not {"ada", "s1", "192.0.2.7", "browser"} & set(map(str, row))
    assert not hasattr(activity.archived, "add")
    assert told(store) == []


def test_archive_takes_the_oldest_first_and_all_when_asked(
    activity: Activity, store: Store, clock: Clock
) -> None:
    for days in (5, 1, 3):
        strategies.make_activity(store, days_ago=days)

    with pytest.raises(ZeroDivisionError), store.transaction():
        assert activity.archive(older_than_days=2) == 2
        raise ZeroDivisionError
    assert (activity.count(), activity.archived.count()) == (3, 0)
    assert activity.archive(older_than_days=-1) == 3
    clock.move(timedelta(days=1).total_seconds())
    assert activity.archive(older_than_days=0) == 0


BROKEN = {
    "action = ''": "activity_log_action_given",
    "entity_type = ''": "activity_log_entity_type_given",
    "entity_type = NULL": "activity_log_entity_whole",
    "metadata = '[]'": "activity_log_metadata_object",
    "anonymized = NOT anonymized": "activity_log_anonymized_bare",
    "created_at = 'then'": "activity_log_created_at_utc",
    "metadata = '{'": "activity_log_metadata_json",
}


def test_every_rule_is_held_by_the_database_under_its_name(activity: Activity, store: Store) -> None:
    before = activity.log("x", user_id="ada", **PERSONAL)
    write = store.engine.write
    for assignments, rule in BROKEN.items():
        with pytest.raises(CheckViolation) as caught:
            write(f"UPDATE activity_log SET {assignments}")
        # PostgreSQL refuses a value of another form before any rule
        is_form = rule.endswith(("_utc", "_json")) and store.engine.dialect.has_copy
        assert (assignments, caught.value.constraint) == (assignments, None if is_form else rule)
        assert activity.one().__data__ == before.__data__
    write("INSERT INTO activity_log_archive (id, action) VALUES ('a', 'x')")
    for column in ("action", "entity_type"):
        with pytest.raises(CheckViolation) as caught:
            write(f"UPDATE activity_log_archive SET {column} = ''")
        assert caught.value.constraint == f"activity_log_archive_{column}_given"
    with pytest.raises(ForeignKeyViolation):
        write("UPDATE activity_log SET user_id = 'nobody'")
    for table in TABLES:
        for column in ("action", "created_at"):
            with pytest.raises(NotNullViolation):
                write(f"UPDATE {table} SET {column} = NULL")
    schema = read_text(package_folder().script())
    checks = {check.name for one in schema.tables if one.name == "activity_log" for check in one.checks}
    assert checks - set(BROKEN.values()) == {"activity_log_anonymized_bool"}


def test_anonymous_entry_stays_so_and_an_archived_one_is_not_in_the_log(
    activity: Activity, store: Store
) -> None:
    entry = activity.log("x", user_id="ada", **PERSONAL)
    insert = f"INSERT INTO activity_log_archive (id, action) VALUES ('{entry.id}', 'x')"
    with pytest.raises(CheckViolation) as caught:
        store.engine.write(insert)
    assert caught.value.constraint == "activity_log_archive_moved"
    activity.anonymize("ada")

    for assignments, rule in {
        "anonymized = NOT anonymized": "activity_log_stays_anonymous",
        "user_id = 'bob'": "activity_log_anonymized_bare",
        "entity_id = 's'": "activity_log_anonymized_bare",
        "ip_address = 'i'": "activity_log_anonymized_bare",
        "user_agent = 'u'": "activity_log_anonymized_bare",
        """metadata = '{"a": 1}'""": "activity_log_anonymized_bare",
    }.items():
        with pytest.raises(CheckViolation) as broken:
            store.engine.write(f"UPDATE activity_log SET {assignments}")
        assert (assignments, broken.value.constraint) == (assignments, rule)
    activity.archive(older_than_days=-1)
    with pytest.raises(UniqueViolation):
        store.engine.write(insert)


def test_entry_in_both_places_and_times_in_the_wrong_order_are_told(
    activity: Activity, store: Store, clock: Clock
) -> None:
    entry = activity.log("x", user_id="ada")
    activity.archive(older_than_days=-1)
    store.engine.write(f"INSERT INTO activity_log (id, action) VALUES ('{entry.id}', 'x')")
    store.engine.write("UPDATE activity_log_archive SET created_at = '2999-01-01T00:00:00.000000Z'")

    assert told(store) == [("DL-C300", 1), ("DL-C302", 1)]


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_strategies_give_is_accepted_and_archived(
    activity: Activity, store: Store, data: st.DataObject
) -> None:
    users = st.sampled_from(["ada", "bob", None])
    with pytest.raises(ZeroDivisionError), store.transaction():
        entries = [
            activity.add(data.draw(strategies.activity_entries(user_id=data.draw(users)))) for _ in range(3)
        ]
        store.repository(type(activity.archived.model())).add(data.draw(strategies.archived_activities()))
        assert activity.anonymize("ada") == sum(one.user_id == "ada" for one in entries)
        assert activity.archive(older_than_days=-365 * 100) == 3
        assert activity.archived.count() == 4
        raise ZeroDivisionError  # the next example begins from nothing


def test_entry_that_is_anonymous_in_name_only_is_told(activity: Activity, store: Store) -> None:
    activity.log("x", user_id="ada")
    if store.engine.dialect.has_copy:
        store.engine.execute("ALTER TABLE activity_log DROP CONSTRAINT activity_log_anonymized_bare")
    else:
        store.engine.execute("PRAGMA ignore_check_constraints = ON")
    store.engine.write("UPDATE activity_log SET anonymized = NOT anonymized")

    assert told(store) == [("DL-C301", 1)]
