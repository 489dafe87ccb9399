"""Rotation: all values under the newest key, whatever others write meanwhile and wherever it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer.engine.connection import Engine
from datalayer.engine.keys import KeyRing
from datalayer.errors import DataLayerError, SecretUnreadable
from datalayer.repository.rotation import rotate, sealed_columns
from datalayer.repository.secrets import EncryptedColumn, Secrets, using_keys

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
COLUMNS = (
    EncryptedColumn("vault", "one", "owner_id"),
    EncryptedColumn("vault", "two", None),
    EncryptedColumn("numbered", "secret", "owner_id", key="number"),
    EncryptedColumn("not_there", "secret", "owner_id"),
)


# what `_use` entered, to be left at the end
_rings: dict[Engine, ExitStack] = {}


@pytest.fixture
def vault(engine: Engine) -> Iterator[Engine]:
    """Two tables of an app, with values of the older key; the ring has two."""
    engine.execute("CREATE TABLE vault (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL, one TEXT, two TEXT)")
    engine.execute("CREATE TABLE numbered (number INTEGER PRIMARY KEY, owner_id TEXT NOT NULL, secret TEXT)")
    with ExitStack() as stack:
        _rings[engine] = stack
        _use(engine, KeyRing({"old": OLD}))
        yield engine


def _use(engine: Engine, ring: KeyRing) -> None:
    _rings[engine].enter_context(using_keys(engine, ring))


def _fill(engine: Engine, count: int) -> None:
    vault, numbered = Secrets(engine, "vault"), Secrets(engine, "numbered")
    insert = engine.dialect.sql("INSERT INTO vault VALUES (?, ?, ?, ?)")
    more = engine.dialect.sql("INSERT INTO numbered VALUES (?, ?, ?)")
    for number in range(count):
        key, owner = f"r{number:03}", f"u{number % 3}"
        one = vault.seal(f"one {number}", column="one", row=key, owner=owner)
        two = None if number % 2 else vault.seal(f"two {number}", column="two", row=key, owner=None)
        engine.write(insert, (key, owner, one, two))
        sealed = numbered.seal(f"n {number}", column="secret", row=str(number), owner=owner)
        engine.write(more, (number, owner, sealed))


def _opened(engine: Engine) -> list[str]:
    vault, numbered = Secrets(engine, "vault"), Secrets(engine, "numbered")
    values: list[str] = []
    for key, owner, one, two in engine.fetch_all("SELECT id, owner_id, one, two FROM vault ORDER BY id"):
        values.append(vault.open(one, column="one", row=key, owner=owner))
        if two is not None:
            values.append(vault.open(two, column="two", row=key, owner=None))
    for number, owner, secret in engine.fetch_all("SELECT * FROM numbered ORDER BY number"):
        values.append(numbered.open(secret, column="secret", row=str(number), owner=owner))
    return values


def test_all_values_are_under_the_newest_key_and_still_the_same(vault: Engine) -> None:
    _fill(vault, 11)
    before = _opened(vault)
    _use(vault, KeyRing({"new": NEW, "old": OLD}))
    told: list[tuple[int, int]] = []
    done = rotate(vault, COLUMNS, batch=4, progress=lambda count, total: told.append((count, total)))

    assert (done.total, done.resealed, done.remaining, done.overtaken) == (28, 28, 0, 0)
    assert done.is_complete and told[-1] == (28, 28)
    assert _opened(vault) == before
    counts = {(one.table, one.column): one.by_key for one in sealed_columns(vault, COLUMNS)}
    assert counts == {
        ("vault", "one"): {"new": 11},
        ("vault", "two"): {"new": 6},
        ("numbered", "secret"): {"new": 11},
    }
    _use(vault, KeyRing({"new": NEW}))
    assert _opened(vault) == before
    assert rotate(vault, COLUMNS).total == 0


def test_a_rotation_that_was_stopped_goes_on_where_it_was(vault: Engine) -> None:
    _fill(vault, 10)
    _use(vault, KeyRing({"new": NEW, "old": OLD}))

    class Stopped(Exception):
        pass

    def stop(count: int, _: int) -> None:
        if count >= 4:
            raise Stopped

    with pytest.raises(Stopped):
        rotate(vault, COLUMNS, batch=4, progress=stop)
    counts = {(one.table, one.column): one.by_key for one in sealed_columns(vault, COLUMNS)}
    assert counts["vault", "one"] == {"new": 4, "old": 6}

    assert rotate(vault, COLUMNS, batch=4).resealed == 21


def test_what_others_write_meanwhile_is_kept(vault: Engine) -> None:
    _fill(vault, 6)
    _use(vault, KeyRing({"new": NEW, "old": OLD}))
    writer = Secrets(vault, "vault")
    newer = writer.seal("newer", column="one", row="r005", owner="u2")
    update = vault.dialect.sql("UPDATE vault SET one = ? WHERE id = 'r005'")
    write, calls = vault.run_transaction, [0]

    def write_after_another(*arguments: object) -> object:
        # between the rotation's reading and its writing
        calls[0] += 1
        if calls[0] == 1:
            vault.write(update, (newer,))
            vault.write("DELETE FROM vault WHERE id = 'r001'")
        return write(*arguments)  # pyright: ignore[reportCallIssue, reportArgumentType] - passed on as it is

    vault.run_transaction = write_after_another  # type: ignore[method-assign] - a race, made certain
    done = rotate(vault, COLUMNS[:1])

    assert (done.resealed, done.overtaken, done.remaining) == (4, 2, 0)
    row = vault.fetch_one("SELECT one FROM vault WHERE id = 'r005'")
    assert row == (newer,)


def test_a_value_that_does_not_open_is_told_and_stops_nothing(vault: Engine) -> None:
    _fill(vault, 8)
    vault.write("UPDATE vault SET owner_id = 'another' WHERE id IN ('r002', 'r005')")
    vault.write("UPDATE vault SET one = 'dl1:gone:AAAA' WHERE id = 'r003'")
    vault.write("UPDATE vault SET one = 'plain' WHERE id = 'r004'")
    _use(vault, KeyRing({"new": NEW, "old": OLD}))
    counted = sealed_columns(vault, COLUMNS[:1])[0].by_key
    done = rotate(vault, COLUMNS[:1], batch=3)

    assert done.unreadable == {("vault", "one"): 4}
    assert done.rows == {("vault", "one"): ["r002", "r003", "r004", "r005"]}
    assert (done.resealed, done.remaining, done.is_complete) == (4, 0, False)
    assert sum(counted.values()) == 8 and counted["old"] in (6, 7, 8)


def test_without_a_key_nothing_is_begun(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("DATALAYER_KEYS", raising=False)
    monkeypatch.setenv("DATALAYER_KEYS_FILE", str(tmp_path_factory.mktemp("none") / "keys"))

    with pytest.raises(DataLayerError, match="datalayer keys new"):
        rotate(engine, COLUMNS)


@given(
    old=st.lists(st.text(max_size=10), max_size=6),
    batch=st.integers(1, 7),
    rounds=st.integers(1, 3),
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_survive_any_number_of_rotations(
    vault: Engine, old: list[str], batch: int, rounds: int
) -> None:
    values = [value.encode("utf-8", "replace").decode() for value in old]
    vault.write("DELETE FROM vault")
    _use(vault, KeyRing({"old": OLD}))
    insert = vault.dialect.sql("INSERT INTO vault (id, owner_id, one) VALUES (?, 'u', ?)")
    keys = {"old": OLD}
    for number, value in enumerate(values):
        sealed = Secrets(vault, "vault").seal(value, column="one", row=str(number), owner="u")
        vault.write(insert, (str(number), sealed))
    for number in range(rounds):
        keys = {f"k{number}": bytes([number]) * 32, **keys}
        _use(vault, KeyRing(keys))
        rotate(vault, COLUMNS, batch=batch)

    found = vault.fetch_all("SELECT id, one FROM vault ORDER BY id")
    opened = [Secrets(vault, "vault").open(one, column="one", row=key, owner="u") for key, one in found]
    assert opened == values
    _use(vault, KeyRing({"old": OLD}))
    for key, one in found:
        with pytest.raises(SecretUnreadable):
            Secrets(vault, "vault").open(one, column="one", row=key, owner="u")
