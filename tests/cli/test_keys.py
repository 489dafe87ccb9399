"""`datalayer keys`: a key is made, counted, and replaced by another; none is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import Run

from datalayer import KeyRing, connect
from datalayer.domains.accounts import OAuthTokens
from datalayer.engine.keys import KeySource
from datalayer.testing.strategies.accounts import make_user

TOKENS = OAuthTokens(access_token="access-in-the-clear", refresh_token="refresh-in-the-clear")


@pytest.fixture(autouse=True)
def key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "secret" / "keys"
    monkeypatch.delenv("DATALAYER_KEYS", raising=False)
    monkeypatch.delenv("DATALAYER_KEYRING", raising=False)
    monkeypatch.setenv("DATALAYER_KEYS_FILE", str(path))
    return path


def _link(database: str | Path, count: int) -> list[tuple[str, str]]:
    """Link accounts and give (user, account) of each."""
    with connect(database) as store:
        users = [make_user(store).id for _ in range(count)]
        return [(user, store.accounts.links.link(user, "github", user, TOKENS).id) for user in users]


def test_a_key_is_made_once_rotated_and_the_older_one_not_needed_any_more(
    run: Run, database: str, key_file: Path
) -> None:
    first = run("keys", "new", "--id", "first", "--json").json
    assert (first["keys"], first["next"]) == (["first"], None)
    links = _link(database, 3)
    second = run("keys", "new", "--id", "second", "--json", "--database", database).json
    assert second["keys"] == ["second", "first"] and "rotate" in second["next"]

    planned = run("keys", "rotate", "--plan", "--json", "--database", database)
    assert (planned.code, planned.json["total"]) == (1, 6)
    done = run("keys", "rotate", "--batch", "2", "--json", "--database", database)
    assert (done.code, done.json["resealed"], done.json["remaining"]) == (0, 6, 0)
    listed = run("keys", "list", "--json", "--database", database).json
    assert [(one["id"], one["values"]) for one in listed["keys"]] == [("second", 6), ("first", 0)]
    assert run("keys", "rotate", "--plan", "--database", database).code == 0

    ring = KeySource.file(key_file).read()
    assert ring is not None
    KeySource.file(key_file).write(KeyRing({"second": ring.primary_key}))
    with connect(database) as store:
        assert [store.accounts.links.tokens(*link) for link in links] == [TOKENS] * 3


def test_no_command_shows_a_key_but_the_one_that_is_asked_to(
    run: Run, migrated: Path, key_file: Path
) -> None:
    run("keys", "new")
    _link(migrated, 1)
    text = key_file.read_text().partition(":")[2].strip()
    shown = [
        run("keys", *words, "--database", migrated, *more)
        for words in (["new"], ["list"], ["rotate"])
        for more in ([], ["--json"])
    ]

    assert not [one for one in shown if text in one.out + one.err]
    printed = run("keys", "new", "--print", "--id", "x").out.strip()
    assert KeyRing.parse(printed).ids == ("x",)
    assert "x:" not in key_file.read_text()


def test_values_of_a_missing_key_are_findings(run: Run, migrated: Path, key_file: Path) -> None:
    run("keys", "new", "--id", "lost")
    _link(migrated, 2)
    key_file.unlink()
    run("keys", "new", "--id", "found")
    listed = run("keys", "list", "--json", "--database", migrated)
    assert (listed.code, listed.json["findings"][0]["id"]) == (1, "DL-K001")
    assert listed.json["unknown"] == [{"id": "lost", "values": 4}]
    rotated = run("keys", "rotate", "--json", "--database", migrated)

    assert rotated.code == 1 and rotated.json["unreadable"] == 4
    assert {one["id"] for one in rotated.json["findings"]} == {"DL-K002"}
    assert "lost" in run("keys", "list", "--database", migrated).out


def test_keys_are_listed_without_a_database(run: Run) -> None:
    empty = run("keys", "list", "--json")
    assert (empty.code, empty.json["keys"], empty.json["next"]) == (0, [], "datalayer keys new")
    run("keys", "new", "--id", "a")
    listed = run("keys", "list")

    assert listed.code == 0 and "not counted" in listed.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["new", "--id", "no colon:"], 5, "other characters"),
        (["new", "--print", "--file", "x"], 2, "not allowed with"),
        (["rotate", "--plan"], 5, "datalayer keys new"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, words: list[str], code: int, said: str) -> None:
    answer = run("keys", *words)

    assert answer.code == code and said in answer.err


def test_a_variable_is_never_written(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATALAYER_KEYS", "a:" + "A" * 43)
    answer = run("keys", "new")
    assert answer.code == 2 and "--print" in answer.err

    assert run("keys", "new", "--file", tmp_path / "other").code == 0
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_nothing_secret_is_in_the_file_a_backup_a_report_or_what_check_db_says(
    run: Run, migrated: Path, tmp_path: Path, key_file: Path
) -> None:
    run("keys", "new", "--id", "a")
    _link(migrated, 1)
    with connect(migrated) as store:
        user = store.accounts.first()
        assert user is not None
        opened = store.accounts.sessions.open(user.id)
        token = store.accounts.verifications.create("v")
    run("backup", tmp_path / "copy.backup", "--database", migrated)
    run("report", "--html", tmp_path / "page.html", "--database", migrated)
    said = run("check-db", "--json", "--database", migrated)
    key = KeyRing.parse(key_file.read_text()).primary_key
    places = [migrated, tmp_path / "copy.backup", tmp_path / "page.html", Path(f"{migrated}-wal")]
    data = b"".join(path.read_bytes() for path in places if path.exists()) + said.out.encode()

    assert len(data) > 100_000
    clear = [str(TOKENS.access_token).encode(), str(TOKENS.refresh_token).encode(), key]
    assert not [one for one in [*clear, opened.token.encode(), token.encode()] if one in data]
