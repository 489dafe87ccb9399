"""Key rings and where they are read from."""

from __future__ import annotations

import base64
import os
import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.connection import Options
from datalayer.engine.keys import KeyRing, KeySource, new_key
from datalayer.errors import DataLayerError

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
CODED = base64.b64encode(OLD).decode()


def test_the_first_key_seals_and_the_others_are_kept() -> None:
    ring = KeyRing({"old": OLD}).with_primary("new", NEW)

    assert (ring.primary, ring.primary_key, ring.ids) == ("new", NEW, ("new", "old"))
    assert ring.key("old") == OLD
    assert ring.key("other") is None
    with pytest.raises(DataLayerError, match="has a key old already"):
        ring.with_primary("old", NEW)


def test_a_ring_shows_no_key_in_its_repr_or_in_that_of_options() -> None:
    ring = KeyRing({"old": OLD})
    shown = repr(ring) + str(ring) + repr(Options(keys=ring))

    assert CODED not in shown and OLD.hex() not in shown and repr(OLD) not in shown
    assert pickle.loads(pickle.dumps(Options(keys=ring))).keys.key("old") == OLD


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True),
        st.binary(min_size=32, max_size=32),
        min_size=1,
    )
)
def test_what_a_ring_writes_it_reads_again(keys: dict[str, bytes]) -> None:
    read = KeyRing.parse(KeyRing(keys).text())

    assert {name: read.key(name) for name in read.ids} == keys
    assert read.primary == next(iter(keys))


def test_commas_line_breaks_comments_and_both_alphabets_of_base64_are_read() -> None:
    odd = bytes([255]) * 32
    text = f"# the keys\n a:{CODED},\n\tb:{base64.urlsafe_b64encode(odd).decode().rstrip('=')}\n"

    assert KeyRing.parse(text).key("b") == odd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a",
        f":{CODED}",
        f"a b:{CODED}",
        "a:secretsecret",
        f"a:{CODED},a:{CODED}",
        f"ä:{CODED}",
        f"a:{CODED[:-4]}",
        f"a:{CODED}AAAA",
    ],
)
def test_what_is_no_ring_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(DataLayerError) as caught:
        KeyRing.parse(text, source="the file")

    error: BaseException | None = caught.value
    while error is not None:
        assert "secretsecret" not in str(error) and CODED not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("keys", [{}, {"a": b"short"}, {"": OLD}, {"a:b": OLD}, {"a" * 41: OLD}])
def test_a_ring_refuses_keys_and_ids_of_another_form(keys: dict[str, bytes]) -> None:
    with pytest.raises(DataLayerError):
        KeyRing(keys)


def test_new_keys_differ() -> None:
    first, second = new_key(), new_key()

    assert first[0] != second[0] and first[1] != second[1]
    assert KeyRing(dict([first, second]))


def test_a_file_is_written_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    source = KeySource.file(tmp_path / "inner" / "keys")
    assert source.read() is None
    source.write(KeyRing({"old": OLD}))
    source.write(KeyRing({"new": NEW, "old": OLD}))

    ring = source.read()
    assert ring is not None and ring.ids == ("new", "old")
    assert (tmp_path / "inner" / "keys").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["keys"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o700])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    path.write_text(f"a:{CODED}")
    path.chmod(mode)

    with pytest.raises(DataLayerError, match=f"chmod 600 {path}") as caught:
        KeySource.file(path).read()
    assert f"{mode:04o}" in str(caught.value)
    path.chmod(0o400)
    assert KeySource.file(path).read() is not None


def test_the_environment_names_the_source(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    KeySource.file(path).write(KeyRing({"filed": OLD}))
    variable = {"DATALAYER_KEYS": f"a:{CODED}", "DATALAYER_KEYS_FILE": str(path)}
    ring = KeySource.choose(variable).read()
    assert ring is not None and ring.ids == ("a",)
    assert not KeySource.choose(variable).is_writable
    with pytest.raises(DataLayerError):
        KeySource.choose(variable).write(KeyRing({"a": OLD}))

    filed = KeySource.choose({"DATALAYER_KEYS": "", "DATALAYER_KEYS_FILE": str(path)}).read()
    assert filed is not None and filed.ids == ("filed",)
    assert "app" in KeySource.choose({"DATALAYER_KEYRING": "app"}).label


def test_a_link_to_a_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "keys")
    source = KeySource.file(tmp_path / "link")
    source.add("a", OLD)
    source.add("b", NEW)

    assert (tmp_path / "link").is_symlink()
    ring = KeySource.file(tmp_path / "real" / "keys").read()
    assert ring is not None and ring.ids == ("b", "a")


def test_keys_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    source = KeySource.file(tmp_path / "keys")
    threads = [
        threading.Thread(target=source.add, args=(f"k{number}", bytes([number]) * 32)) for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ring = source.read()
    assert ring is not None and sorted(ring.ids) == sorted(f"k{number}" for number in range(12))


def test_a_source_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataLayerError, match="cannot read the keys"):
        KeySource.file(tmp_path).read()
    (tmp_path / "file").touch()
    with pytest.raises(DataLayerError, match="cannot write the keys"):
        KeySource.file(tmp_path / "file" / "keys").write(KeyRing({"a": OLD}))
