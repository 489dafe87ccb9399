"""Attachments are taken in once, read back as they were, counted, and cleared away when nothing has them."""

from __future__ import annotations

import hashlib
import io
import os
from datetime import timedelta
from pathlib import Path

import pytest

from datalayer.errors import (
    CheckViolation,
    DatabaseCorrupt,
    ForeignKeyViolation,
    NotFound,
)
from datalayer.store import Store

NOW = timedelta(seconds=-60)


@pytest.fixture
def ann(store: Store) -> str:
    return store.accounts.sign_up("ann@example.org").id


def files(store: Store) -> list[Path]:
    folder = store.data_dir / "attachments"
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def test_a_content_is_kept_once_however_it_comes(store: Store, ann: str, tmp_path: Path) -> None:
    path = tmp_path / "cat.txt"
    path.write_bytes(b"miau")

    made = [
        store.attachments.attach(ann, "cat.txt", b"miau", owner=("draft", "d1")),
        store.attachments.attach(ann, "same", path, metadata={"a": 1}),
        store.attachments.attach(ann, "again.PNG", io.BytesIO(b"miau"), media_type="text/plain"),
    ]

    assert [one.media_type for one in made] == ["text/plain", "application/octet-stream", "text/plain"]
    assert {one.sha256 for one in made} == {hashlib.sha256(b"miau").hexdigest()}
    assert [file.read_bytes() for file in files(store)] == [b"miau"]
    assert store.engine.fetch_all("SELECT size_bytes, reference_count FROM attachment_contents") == [(4, 3)]
    assert store.attachments.read(made[1].id, user_id=ann) == b"miau"
    with store.attachments.open(made[2].id, user_id=ann) as file:
        assert file.read() == b"miau"
    assert [one.id for one in store.attachments.attached_to("draft", "d1")] == [made[0].id]
    assert {one.id for one in store.attachments.page_for_user(ann).items} == {one.id for one in made}
    assert store.check() == []


def test_another_user_s_attachment_is_not_found(store: Store, ann: str) -> None:
    bob = store.accounts.sign_up("bob@example.org").id
    key = store.attachments.attach(ann, "a", b"a", owner=("draft", "d")).id

    for attempt in (
        lambda: store.attachments.get_own(key, user_id=bob),
        lambda: store.attachments.read(key, user_id=bob),
        lambda: store.attachments.rename(key, "b", user_id=bob),
        lambda: store.attachments.move(key, None, user_id=bob),
        lambda: store.attachments.delete_own(key, user_id=bob),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert store.attachments.attached_to("draft", "d", user_id=bob) == []
    assert store.attachments.get_own(key, user_id=ann).name == "a"


def test_an_attachment_is_renamed_and_moved(store: Store, ann: str) -> None:
    key = store.attachments.attach(ann, "a", b"a").id

    store.attachments.rename(key, "b", user_id=ann)
    store.attachments.move(key, ("room", "r"), user_id=ann)

    found = store.attachments.get_own(key, user_id=ann)
    assert (found.name, found.owner_type, found.owner_id) == ("b", "room", "r")
    store.attachments.move(key, None, user_id=ann)
    assert store.attachments.get_own(key, user_id=ann).owner_id is None


def test_a_content_goes_with_its_last_attachment(store: Store, ann: str) -> None:
    first, second = (store.attachments.attach(ann, name, b"same").id for name in "ab")
    store.attachments.attach(ann, "c", b"other")

    store.attachments.delete_own(first, user_id=ann)
    assert store.attachments.collect(older_than=NOW).contents == 0
    store.attachments.delete_own(second, user_id=ann)
    assert store.attachments.collect().contents == 0  # too young
    assert store.attachments.collect(older_than=NOW).contents == 1
    assert [file.read_bytes() for file in files(store)] == [b"other"]

    store.accounts.delete(ann)
    assert store.attachments.collect(older_than=NOW).contents == 1
    assert files(store) == []
    assert store.check() == []


def test_what_is_refused_leaves_nothing(store: Store, ann: str) -> None:
    store.attachments.most_bytes = 10
    for refused, arguments in (
        (CheckViolation, (ann, "large", b"x" * 11)),
        (CheckViolation, (ann, "", b"x")),
        (ForeignKeyViolation, ("nobody", "a", b"x")),
    ):
        with pytest.raises(refused):
            store.attachments.attach(*arguments)
    with pytest.raises(FileNotFoundError):
        store.attachments.attach(ann, "a", Path("is/not/there"))

    assert store.attachments.count() == 0
    store.attachments.collect(older_than=NOW)
    assert files(store) == []


def test_check_tells_what_is_wrong_with_files(store: Store, ann: str) -> None:
    kept = {
        name: store.attachments.attach(ann, name, name.encode()).sha256 for name in ("gone", "cut", "other")
    }
    folder = store.data_dir / "attachments"
    place = {name: folder / digest[:2] / digest for name, digest in kept.items()}
    place["gone"].unlink()
    place["cut"].write_bytes(b"cu")
    place["other"].write_bytes(b"OTHER")
    (folder / "0123456789abcdef.half").write_bytes(b"half")
    os.utime(folder / "0123456789abcdef.half", (0, 0))

    told = {(one.id, one.severity, one.count) for one in store.check()}

    assert told == {
        ("DL-C320", "error", 1),
        ("DL-C321", "warning", 1),
        ("DL-C322", "error", 1),
        ("DL-C323", "error", 1),
    }
    [other] = store.attachments.find(name="other")
    with pytest.raises(DatabaseCorrupt):
        store.attachments.read(other.id, user_id=ann)
    with pytest.raises(NotFound, match="cannot be opened"):
        store.attachments.read(store.attachments.find(name="gone")[0].id, user_id=ann)
    # what is attached anew is whole again
    for name in ("gone", "cut"):
        store.attachments.attach(ann, "again", name.encode())
    assert store.attachments.collect(older_than=NOW).orphans == 1
    assert [one.id for one in store.check()] == ["DL-C323"]


RULES = {
    "attachments_name_given": "UPDATE attachments SET name = ''",
    "attachments_owner_whole": "UPDATE attachments SET owner_id = 'x'",
    "attachments_metadata_object": "UPDATE attachments SET metadata = '[]'",
    "attachments_content": "UPDATE attachments SET sha256 = 'none'",
    "attachment_contents_size_bytes_range": "UPDATE attachment_contents SET size_bytes = -1",
    "attachment_contents_sha256_hex": "INSERT INTO attachment_contents (sha256, size_bytes) VALUES ('A', 1)",
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_plain_sql_cannot_break_the_rules(store: Store, ann: str, rule: str) -> None:
    store.attachments.attach(ann, "a", b"a")

    with pytest.raises((CheckViolation, ForeignKeyViolation)) as refused:
        store.engine.write(RULES[rule])
    assert refused.value.constraint == rule


def test_a_content_that_is_held_cannot_be_deleted(store: Store, ann: str) -> None:
    store.attachments.attach(ann, "a", b"a")

    with pytest.raises(ForeignKeyViolation):
        store.engine.write("DELETE FROM attachment_contents")
