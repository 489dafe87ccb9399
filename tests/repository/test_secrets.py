"""Sealing and opening, tokens and previews."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.source_tree import ROOT

from datalayer.engine.connection import Engine, Options
from datalayer.engine.keys import KeyRing, KeySource
from datalayer.engine.opening import open_engine
from datalayer.errors import CheckViolation, DataLayerError, SecretUnreadable
from datalayer.repository.secrets import Secrets, key_id_of, masked, new_token, token_hash

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
PLACE = {"column": "api_key", "row": "r1", "owner": "u1"}


def _opened(ring: KeyRing | None) -> Engine:
    return open_engine(":memory:", Options(keys=ring))


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return Secrets(_opened(KeyRing({"k1": OLD})), "credentials")


@given(value=st.text(st.characters(exclude_categories=["Cs"])), owner=st.none() | st.text(max_size=5))
def test_what_is_sealed_opens_at_its_place(secrets: Secrets, value: str, owner: str | None) -> None:
    sealed = secrets.seal(value, column="c", row="r", owner=owner)

    assert secrets.open(sealed, column="c", row="r", owner=owner) == value
    assert sealed.startswith("dl1:k1:") and key_id_of(sealed) == "k1"
    assert sealed != secrets.seal(value, column="c", row="r", owner=owner)


@given(st.data())
def test_a_change_of_any_character_is_noticed(secrets: Secrets, data: st.DataObject) -> None:
    value = "sk-the-secret-itself"
    sealed = secrets.seal(value, **PLACE)
    place = data.draw(st.integers(0, len(sealed) - 1))
    letters = st.characters(min_codepoint=1, max_codepoint=0x2FF).filter(lambda one: one != sealed[place])
    edit = data.draw(st.sampled_from(["replace", "insert", "cut", "drop"]))
    letter = data.draw(letters)
    changed = {
        "replace": sealed[:place] + letter + sealed[place + 1 :],
        "insert": sealed[:place] + letter + sealed[place:],
        "cut": sealed[:place],
        "drop": sealed[:place] + sealed[place + 1 :],
    }[edit]

    if changed != sealed:
        with pytest.raises(SecretUnreadable) as caught:
            secrets.open(changed, **PLACE)
        assert value not in f"{caught.value} {caught.value!r} {caught.value.__context__!r}"


def test_every_bit_counts(secrets: Secrets) -> None:
    sealed = secrets.seal("x", **PLACE)
    for place, letter in enumerate(sealed):
        for bit in range(7):
            changed = sealed[:place] + chr(ord(letter) ^ (1 << bit)) + sealed[place + 1 :]
            with pytest.raises(SecretUnreadable):
                secrets.open(changed, **PLACE)


@pytest.mark.parametrize(
    "moved",
    [
        {"column": "access_token"},
        {"row": "r2"},
        {"owner": "u2"},
        {"owner": None},
        {"row": "r1u", "owner": "1"},
        {"row": 'r1", "u1'},
    ],
)
def test_a_value_that_is_moved_does_not_open(secrets: Secrets, moved: dict[str, str | None]) -> None:
    sealed = secrets.seal("value", **PLACE)

    with pytest.raises(SecretUnreadable):
        secrets.open(sealed, **{**PLACE, **moved})  # pyright: ignore[reportArgumentType] - places drawn
    with pytest.raises(SecretUnreadable):
        Secrets(_opened(KeyRing({"k1": OLD})), "other_table").open(sealed, **PLACE)


def test_another_key_under_the_same_id_does_not_open_and_a_missing_one_is_named(secrets: Secrets) -> None:
    sealed = secrets.seal("value", **PLACE)
    with pytest.raises(SecretUnreadable, match="k1 is another key now"):
        Secrets(_opened(KeyRing({"k1": NEW})), "credentials").open(sealed, **PLACE)
    with pytest.raises(SecretUnreadable, match="the key k1 is not in the ring") as caught:
        Secrets(_opened(KeyRing({"k2": NEW})), "credentials").open(sealed, **PLACE)

    assert caught.value.key_id == "k1"
    both = Secrets(_opened(KeyRing({"k2": NEW, "k1": OLD})), "credentials")
    assert both.open(sealed, **PLACE) == "value"
    assert both.seal("value", **PLACE).startswith("dl1:k2:")


def test_a_key_that_another_process_added_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = KeySource.file(tmp_path / "keys")
    source.write(KeyRing({"k1": OLD}))
    monkeypatch.setenv("DATALAYER_KEYS_FILE", str(tmp_path / "keys"))
    monkeypatch.delenv("DATALAYER_KEYS", raising=False)
    running = Secrets(_opened(None), "credentials")
    before = running.seal("before", **PLACE)
    source.write(KeyRing({"k2": NEW, "k1": OLD}))
    after = Secrets(_opened(None), "credentials").seal("after", **PLACE)

    assert (key_id_of(before), key_id_of(after)) == ("k1", "k2")
    assert running.open(after, **PLACE) == "after"


def test_without_a_key_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAYER_KEYS_FILE", str(tmp_path / "keys"))
    monkeypatch.delenv("DATALAYER_KEYS", raising=False)

    with pytest.raises(DataLayerError, match="datalayer keys new"):
        Secrets(_opened(None), "t").seal("value", **PLACE)


@pytest.mark.parametrize("value", ["\ud800secret", b"secret", None, 5])
def test_what_is_no_text_is_refused_without_being_quoted(secrets: Secrets, value: object) -> None:
    with pytest.raises(CheckViolation) as caught:
        secrets.seal(value, **PLACE)  # pyright: ignore[reportArgumentType] - what a caller may do

    assert "secret'" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.mark.slow
def test_without_the_extra_its_installation_is_told() -> None:
    code = (
        "import sys; sys.modules['cryptography.hazmat.primitives.ciphers.aead'] = None\n"
        "from datalayer import KeyRing, connect\n"
        "from datalayer.repository.secrets import Secrets\n"
        "store = connect(':memory:', keys=KeyRing({'a': bytes(32)}))\n"
        "try: Secrets(store.engine, 't').seal('v', column='c', row='r', owner=None)\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)

    assert "pip install 'datalayer[crypto]'" in done.stdout


def test_tokens_are_of_letters_and_digits_and_never_alike() -> None:
    tokens = {new_token() for _ in range(200)}

    assert len(tokens) == 200
    assert all(len(token) == 32 and token.isalnum() and token.isascii() for token in tokens)
    assert len(new_token(48)) == 48
    assert len(token_hash("a")) == 64 and token_hash("a") != token_hash("b")


def test_tokens_do_not_come_from_a_generator_that_can_be_seeded() -> None:
    random.seed(7)
    first = new_token()
    random.seed(7)

    assert new_token() != first


@given(st.text())
def test_a_preview_shows_at_most_seven_characters_of_a_long_secret(value: str) -> None:
    shown = masked(value)

    assert shown == "..." if len(value) < 16 else len(shown) == 10
    assert masked("sk-1234567890-abcd") == "sk-...abcd"
