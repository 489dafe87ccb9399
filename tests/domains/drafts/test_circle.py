"""A draft names a version and a version its draft: the circle holds through rebuilds, backups and moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.source_tree import ROOT

from datalayer import CheckViolation, ForeignKeyViolation
from datalayer.domains.drafts import CHECKS
from datalayer.schema.backup import backup
from datalayer.schema.restore import restore
from datalayer.store import Store, connect
from datalayer.testing.strategies.drafts import make_draft

CONSOLIDATED = ROOT / "migrations" / "consolidated_migrations.sql"
TABLES = ("draft", "version", "chat_message", "ai_conversation")


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    return {name: store.engine.fetch_all(f"SELECT * FROM {name} ORDER BY id") for name in TABLES}


def fill(store: Store) -> str:
    """Make two drafts with three versions each, whatever belongs to them; give the key of one."""
    store.engine.write("INSERT INTO users (id) VALUES ('ada')")
    for title in ("one", "two"):
        key = make_draft(store, user_id="ada", versions=3, title=title).draft.id
        store.drafts.add_message(key, "user", "hi", user_id="ada")
        store.drafts.open_conversation(key, "p", "m", user_id="ada")
    return key


def circle_holds(store: Store, key: str) -> None:
    """The rules of the circle are there, and a draft goes through it when it is deleted."""
    other = next(one.id for one in store.drafts.find() if one.id != key)
    strange = store.drafts.get_version(other, 1, user_id="ada")
    with pytest.raises(CheckViolation):
        store.drafts.update(key, current_version_id=strange.id)
    with pytest.raises(ForeignKeyViolation):
        store.drafts.update(key, current_version_id="absent")
    with pytest.raises(CheckViolation):
        store.drafts.versions.add(draft_id=key, content="", version_number=4, parent_version_id=strange.id)
    assert store.drafts.add_version(key, "next", user_id="ada").version_number == 4
    for rule in CHECKS.values():
        assert store.engine.fetch_all(rule.sql) == []

    store.drafts.delete_draft(key, user_id="ada")
    assert {one.draft_id for one in store.drafts.versions.find()} == {other}
    store.engine.write("DELETE FROM users")
    assert store.drafts.versions.count() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CHECK (length(title) <= 255),\n    description", "CHECK (length(title) <= 300),\n    description"),
        ("CHECK (version_number >= 1)", "CHECK (version_number > 0)"),
    ],
    ids=["draft", "version"],
)
def test_the_circle_survives_that_one_of_its_tables_is_rebuilt(
    database: str, tmp_path: Path, old: str, new: str
) -> None:
    text = CONSOLIDATED.read_text(encoding="utf-8")
    assert text.count(old) == 1
    wanted = tmp_path / "wanted.sql"
    wanted.write_text(text.replace(old, new), encoding="utf-8")
    with connect(database, data_dir=tmp_path / "files") as store:
        key = fill(store)
        before = contents(store)
        store.migrate(schema_file=wanted)

        assert contents(store) == before
        circle_holds(store, key)


@pytest.mark.slow
def test_the_circle_comes_back_from_a_backup(database: str, tmp_path: Path) -> None:
    with connect(database, data_dir=tmp_path / "files") as store:
        key = fill(store)
        before = contents(store)
        made = backup(store.engine, tmp_path / "copy")
        store.drafts.delete_draft(key, user_id="ada")
    restore(database, made.path)

    with connect(database, data_dir=tmp_path / "files") as store:
        assert contents(store) == before
        circle_holds(store, key)


def test_drafts_come_alone_with_the_users_they_need(tmp_path: Path) -> None:
    with connect(tmp_path / "app.db", domains=["drafts"]) as store:
        store.migrate()
        assert store.engine.columns("builder_threads") == []
        key = fill(store)

        circle_holds(store, key)
