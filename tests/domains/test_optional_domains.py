"""An app installs the domains that it needs, and what those depend on comes along."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.errors import MigrationRefused, SchemaMismatch
from datalayer.schema.history import package_files, package_folder
from datalayer.schema.reset import reset
from datalayer.schema.snapshot import read_text
from datalayer.store import check_database, connect

DOMAINS = sorted({domain for file in package_files() for domain in file.mark.domains})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "app.db")
    url: str = request.getfixturevalue("postgres_database")
    return url


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_files_of_a_domain_and_what_it_needs_stand_by_themselves(domain: str) -> None:
    schema = read_text(package_folder().of_domains([domain]).script())

    tables = {table.name for table in schema.tables}
    assert {key.parent for table in schema.tables for key in table.foreign_keys} <= tables


def test_only_what_is_asked_for_and_needed_is_made(target: str) -> None:
    with connect(target, domains=["builder"]) as store:
        store.migrate()

        assert store.migrate().nothing_to_do
        user = store.accounts.sign_up("ann@example.org")
        store.builder.create_thread(user.id, "Shop", template="react")
        assert store.check() == []
        with pytest.raises(SchemaMismatch, match="drafts"):
            _ = store.drafts
    assert check_database(target) == []


def test_the_other_domains_come_when_they_are_asked_for(target: str) -> None:
    with connect(target, domains=["builder"]) as store:
        store.migrate()
    with connect(target) as store:
        assert {file.name for file in package_files() if "drafts" in file.mark.domains} <= {
            *store.migrate().applied
        }
        assert store.check() == []


def test_texts_that_are_there_are_found_once_search_comes(target: str) -> None:
    with connect(target, domains=["drafts"]) as store:
        store.migrate()
        user = store.accounts.sign_up("ann@example.org")
        store.drafts.create(user.id, title="Zebra")
    with connect(target, domains=["drafts", "search"]) as store:
        store.migrate()

        assert [hit.kind for hit in store.search.find("zebra", user_id=user.id)] == ["draft"]
        assert store.check() == []


def test_a_reset_makes_the_domains_again_that_were_there(target: str) -> None:
    with connect(target, domains=["builder"]) as store:
        store.migrate()
        store.accounts.sign_up("ann@example.org")

        reset(store.engine)

        assert store.accounts.count() == 0
        assert store.check() == []


def test_an_unknown_domain_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="did you mean drafts"):
        connect(tmp_path / "app.db", domains=["draft"])
    assert not (tmp_path / "app.db").exists()


def test_what_is_always_there_may_be_named(tmp_path: Path) -> None:
    with connect(tmp_path / "app.db", domains=["sessions", "kv"]) as store:
        store.migrate()
        store.kv.set("a", 1)
        assert store.check() == []


def test_naming_what_is_always_there_makes_nothing_else(tmp_path: Path) -> None:
    with connect(tmp_path / "app.db", domains=["jobs"]) as store:
        assert store.migrate().applied == ("0001_foundation",)
        assert store.check() == []
