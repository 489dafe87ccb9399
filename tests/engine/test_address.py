"""Addresses: what a path or URL means, and that a password is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.address import Address, without_password
from datalayer.errors import DataLayerError


@pytest.mark.parametrize("text", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_memory_is_written_in_three_ways(text: str) -> None:
    if text == "sqlite://":
        with pytest.raises(DataLayerError, match="path is empty"):
            Address.parse(text)
        return
    address = Address.parse(text)

    assert (address.engine, address.path, address.display) == ("sqlite", None, ":memory:")


def test_paths_and_sqlite_urls_mean_files(tmp_path: Path) -> None:
    assert Address.parse(tmp_path / "a b.db").path == tmp_path / "a b.db"
    assert Address.parse(f"sqlite:///{tmp_path}/a%20b.db").path == tmp_path / "a b.db"
    assert Address.parse("sqlite:///here.db").path == Path("here.db").absolute()
    assert Address.parse("sqlite:///here.db?mode=ro").read_only
    assert Address.parse("~/app.db").path == Path.home() / "app.db"


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(DataLayerError, match="path is empty"):
        Address.parse("")


@given(secret=st.text("0123456789", min_size=6))
def test_a_password_is_never_shown(secret: str) -> None:
    for url in (
        f"postgresql://me:{secret}@db.example.org:5432/app",
        f"postgres://db.example.org/app?user=me&password={secret}",
        f"postgresql://me:{secret}@/app?host=/run/pg&sslpassword={secret}",
    ):
        address = Address.parse(url)

        assert address.secret_url == url
        assert secret not in without_password(url)
        assert secret not in address.display + repr(address)
        assert "***" in address.display
