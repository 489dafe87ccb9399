"""Sandboxes: made under a slug of their own, moved only as they may be, and each user's own."""

from __future__ import annotations

import pytest

from datalayer import (
    CheckViolation,
    DataLayerError,
    ForeignKeyViolation,
    InvalidTransition,
    NotFound,
    UniqueViolation,
)
from datalayer.domains.sandboxes import SANDBOX_MOVES, SANDBOX_STATUSES, Sandbox, Sandboxes, slug_of
from datalayer.domains.sandboxes.slug import free_slug
from datalayer.store import Store

# how a sandbox comes into each status
WAYS = {
    "created": (),
    "starting": ("starting",),
    "running": ("starting", "running"),
    "stopping": ("starting", "stopping"),
    "stopped": ("starting", "stopped"),
    "error": ("error",),
}


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My site", "my-site"),
        ("  Étude N° 5!  ", "etude-n-5"),
        ("日本", "sandbox"),
        ("---", "sandbox"),
        ("x" * 62 + " y", "x" * 62),
    ],
)
def test_slug_is_letters_digits_and_single_hyphens(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_slug_that_is_taken_gets_the_first_number_that_is_free() -> None:
    assert free_slug("a", ["a", "a-2", "a-4"]) == "a-3"
    assert free_slug("a", ["a-2"]) == "a"
    assert free_slug("x" * 63, ["x" * 63]) == "x" * 61 + "-2"


def test_each_user_has_a_slug_once(sandboxes: Sandboxes, user: str, other: str) -> None:
    slugs = [sandboxes.create(user, "My site").slug for _ in range(3)]
    long = [sandboxes.create(user, "x" * 80).slug for _ in range(2)]

    assert slugs == ["my-site", "my-site-2", "my-site-3"]
    assert long == ["x" * 63, "x" * 61 + "-2"]
    assert sandboxes.create(other, "My site").slug == "my-site"
    with pytest.raises(UniqueViolation):
        sandboxes.create(user, "Else", slug="my-site")
    assert sandboxes.get_by_slug("my-site-2", user_id=user).name == "My site"
    with pytest.raises(NotFound):
        sandboxes.get_by_slug("my-site-2", user_id=other)


def test_sandbox_is_made_from_what_there_is(sandboxes: Sandboxes, user: str) -> None:
    made = sandboxes.create(user, "S", addon_ids=["gpu", "gui"], flavor_id="rust", description="d")

    assert (made.status, made.resource_tier_id, made.flavor_id) == ("created", "starter", "rust")
    assert sandboxes.get(made.id).addon_ids == ["gpu", "gui"]
    with pytest.raises(CheckViolation, match="'no such addon'"):
        sandboxes.create(user, "S", addon_ids=["gpu", "no such addon"])
    with pytest.raises(ForeignKeyViolation):
        sandboxes.create(user, "S", flavor_id="no such flavor")
    with pytest.raises(ForeignKeyViolation):
        sandboxes.create("nobody", "S")
    assert sandboxes.count() == 1


def test_reference_data_is_there_and_has_no_verb_that_writes(sandboxes: Sandboxes) -> None:
    readers = (sandboxes.tiers, sandboxes.flavors, sandboxes.addons)
    for reader in readers:
        assert reader.count() > 3
        assert not any(
            hasattr(reader, verb) for verb in ("add", "upsert", "update", "delete", "update_where")
        )

    assert sandboxes.tiers.one(is_default=True).id == "starter"
    assert sandboxes.flavors.get("fullstack").languages == ["javascript", "python"]
    assert sandboxes.addons.get("gpu").requires_gpu
    tier = sandboxes.tiers.get("power")
    tier.name = "Mine"
    for verb in (tier.save, tier.delete_instance):
        with pytest.raises(DataLayerError, match="read only"):
            verb()


def test_every_legal_move_is_made_and_no_other(sandboxes: Sandboxes, store: Store, user: str) -> None:
    for place, (status, way) in enumerate(WAYS.items()):
        sandbox = sandboxes.create(user, f"{status}")
        container = f"container {place}"
        for step in way:
            sandboxes.set_status(sandbox.id, step, container_id=container)
        for to in SANDBOX_STATUSES:
            before = sandboxes.get(sandbox.id)
            assert before.status == status
            if to in SANDBOX_MOVES[status]:
                with pytest.raises(ZeroDivisionError), store.transaction():
                    moved = sandboxes.set_status(sandbox.id, to, container_id=container)
                    assert moved.status == to
                    raise ZeroDivisionError  # back to where it was
                continue
            with pytest.raises(InvalidTransition) as caught:
                sandboxes.set_status(sandbox.id, to)
            assert (caught.value.current, caught.value.wanted) == (status, to)
            if to != status:
                with pytest.raises(CheckViolation) as broken:
                    store.engine.write(f"UPDATE sandboxes SET status = '{to}' WHERE id = '{sandbox.id}'")
                assert broken.value.constraint == "sandboxes_moves"
            assert sandboxes.get(sandbox.id).__data__ == before.__data__


def test_error_says_why_until_the_sandbox_moves_on(sandboxes: Sandboxes, sandbox: Sandbox, user: str) -> None:
    failed = sandboxes.set_status(sandbox.id, "error", error_message="no image")
    again = sandboxes.start(sandbox.id, user_id=user)

    assert (failed.status, failed.error_message) == ("error", "no image")
    assert (again.status, again.error_message) == ("starting", None)
    with pytest.raises(CheckViolation):
        sandboxes.set_status(sandbox.id, "running")
    running = sandboxes.set_status(sandbox.id, "running", container_id="c", opencode_url="http://c:1")
    assert (running.container_id, running.opencode_url) == ("c", "http://c:1")
    assert sandboxes.stop(sandbox.id, user_id=user).container_id == "c"
    assert sandboxes.record_container(sandbox.id, vnc_url="http://c:2").vnc_url == "http://c:2"


def test_user_reaches_own_sandboxes_only(
    sandboxes: Sandboxes, sandbox: Sandbox, user: str, other: str
) -> None:
    theirs = {"user_id": other}
    for attempt in (
        lambda: sandboxes.get_own(sandbox.id, **theirs),
        lambda: sandboxes.edit(sandbox.id, name="Mine", **theirs),
        lambda: sandboxes.start(sandbox.id, **theirs),
        lambda: sandboxes.stop(sandbox.id, **theirs),
        lambda: sandboxes.set_status(sandbox.id, "error", **theirs),
        lambda: sandboxes.record_access(sandbox.id, **theirs),
        lambda: sandboxes.delete_own(sandbox.id, **theirs),
        lambda: sandboxes.chats.create(sandbox.id, **theirs),
        lambda: sandboxes.chats.get_or_create(sandbox.id, "x", **theirs),
        lambda: sandboxes.chats.page_for_sandbox(sandbox.id, **theirs),
        lambda: sandboxes.onboarding.begin(sandbox.id, **theirs),
    ):
        with pytest.raises(NotFound):
            attempt()

    assert sandboxes.get_own(sandbox.id, user_id=user).__data__ == sandbox.__data__
    assert sandboxes.page_for_user(other).items == ()


def test_sandbox_is_changed_used_counted_and_deleted(
    sandboxes: Sandboxes, sandbox: Sandbox, user: str, other: str
) -> None:
    changed = sandboxes.edit(sandbox.id, user_id=user, name="New", addon_ids=["gui"])
    sandboxes.record_access(sandbox.id, user_id=user)
    sandboxes.create(other, "Theirs")
    sandboxes.start(sandbox.id, user_id=user)

    assert (changed.name, changed.slug, changed.addon_ids) == ("New", "site", ["gui"])
    assert sandboxes.get(sandbox.id).last_accessed_at == sandboxes.engine.clock()
    assert sandboxes.counts_by_status() == {**dict.fromkeys(SANDBOX_STATUSES, 0), "created": 1, "starting": 1}
    assert sandboxes.counts_by_status(user_id=user)["created"] == 0
    assert [one.id for one in sandboxes.newest_of_status("starting").items] == [sandbox.id]
    assert [one.id for one in sandboxes.page_for_user(user, status="starting").items] == [sandbox.id]
    sandboxes.delete_own(sandbox.id, user_id=user)
    assert sandboxes.page_for_user(user).items == ()


def test_onboarding_is_one_for_each_sandbox(sandboxes: Sandboxes, sandbox: Sandbox, user: str) -> None:
    onboarding = sandboxes.onboarding
    begun = onboarding.begin(sandbox.id, user_id=user)
    asked = onboarding.edit(
        begun.id, user_id=user, status="gathering", current_step="stack", gathered_requirements={"db": True}
    )
    failed = onboarding.edit(begun.id, user_id=user, status="failed", error_message="no model")
    done = onboarding.edit(begun.id, user_id=user, status="completed", generated_config={"a": 1})

    assert onboarding.begin(sandbox.id, user_id=user).id == begun.id
    assert (asked.current_step, asked.gathered_requirements) == ("stack", {"db": True})
    assert (failed.error_message, failed.completed_at) == ("no model", None)
    assert (done.error_message, done.completed_at) == (None, sandboxes.engine.clock())
    with pytest.raises(UniqueViolation):
        onboarding.add(sandbox_id=sandbox.id, user_id=user)
