"""Adding a domain touches what DESIGN.md says and nothing else: shown by adding one."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.source_tree import ROOT

pytestmark = pytest.mark.slow

MODULE = '''"""Toys: what children play with."""

from __future__ import annotations

import peewee

from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField
from datalayer.repository.mixins import Timestamps
from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS", "Toy", "Toys"]

CHECKS = {
    "DL-C900": Rule("SELECT id FROM toys WHERE name = 'lost'", "{count} toys are lost", table="toys"),
}


class Toy(Timestamps):
    """A toy of a user."""

    id = IdField()
    user_id = peewee.TextField()
    name = peewee.TextField()

    class Meta:
        """Where it is stored."""

        table_name = "toys"


class Toys(Repository[Toy]):
    """`store.toys`."""
'''
TIME = """ TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT toys_{0}_utc CHECK ({0} GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')"""
MIGRATION = f"""-- domain: toys
-- needs: accounts

CREATE TABLE toys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL CONSTRAINT toys_user REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL CONSTRAINT toys_name_given CHECK (name <> ''),
    created_at{TIME.format("created_at")},
    updated_at{TIME.format("updated_at")}
) STRICT;

CREATE INDEX toys_user ON toys (user_id);
"""
MIGRATIONS = "datalayer/migrations"
USE = """
import sys
from datalayer import connect
from datalayer.errors import CheckViolation
with connect(sys.argv[1], domains=["toys"]) as store:
    store.migrate()
    user = store.accounts.sign_up("ann@example.org")
    store.toys.add(user_id=user.id, name="ball")
    try:
        store.toys.add(user_id=user.id, name="")
    except CheckViolation as refused:
        assert refused.constraint == "toys_name_given", refused
    else:
        raise AssertionError("an empty name was taken")
    assert store.check() == []
    store.toys.add(user_id=user.id, name="lost")
    assert [one.id for one in store.check()] == ["DL-C900"]
    print(store.toys.count())
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package with its migrations in it, as an installation has them."""
    root = tmp_path / "copy"
    for folder, place in (("datalayer", "datalayer"), ("migrations", MIGRATIONS)):
        shutil.copytree(ROOT / folder, root / place, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run(checkout: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=checkout, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def add_toys(root: Path) -> None:
    (root / "datalayer" / "domains" / "toys.py").write_text(MODULE)
    registry = root / "datalayer" / "domains" / "__init__.py"
    text = registry.read_text()
    typed = "if TYPE_CHECKING:\n"
    attribute = '    sessions: _Domain[Sessions] = _Domain("sessions.Sessions")\n'
    assert typed in text
    assert attribute in text
    text = text.replace(typed, f"{typed}    from datalayer.domains.toys import Toys\n")
    text = text.replace(attribute, f'{attribute}    toys: _Domain[Toys] = _Domain("toys.Toys")\n')
    registry.write_text(text)
    (root / MIGRATIONS / "9000_toys.sql").write_text(MIGRATION)


def changed(root: Path) -> dict[str, int]:
    """How many lines each file has gained; those that are as they were are left out."""
    gained: dict[str, int] = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix().replace(MIGRATIONS, "migrations")
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        if not (ROOT / name).is_file() or not filecmp.cmp(path, ROOT / name, shallow=False):
            before = (ROOT / name).read_text().splitlines() if (ROOT / name).is_file() else []
            gained[name] = len(path.read_text().splitlines()) - len(before)
    return gained


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_new_domain_is_two_lines_a_file_and_a_migration(
    kind: str, checkout: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    add_toys(checkout)
    run(checkout, "-m", "datalayer", "migrations", "squash")

    gained = changed(checkout)
    assert set(gained) == {
        "datalayer/domains/__init__.py",
        "datalayer/domains/toys.py",
        "migrations/9000_toys.sql",
        "migrations/consolidated_migrations.sql",
    }
    assert gained["datalayer/domains/__init__.py"] == 2
    target = str(tmp_path / "app.db") if kind == "sqlite" else request.getfixturevalue("postgres_database")
    assert run(checkout, "-c", USE, target) == "2\n"
