"""Shops to damage."""

from __future__ import annotations

import pytest
from support.salvage_case import Format
from support.salvage_shop import Shop, make_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), Format(1024))


@pytest.fixture(scope="session")
def wide_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """UTF-16, auto-vacuum, the smallest pages."""
    return make_shop(tmp_path_factory.mktemp("wide"), Format(512, "UTF-16be", 1))


@pytest.fixture(params=["shop", pytest.param("wide_shop", marks=pytest.mark.slow)])
def any_shop(request: pytest.FixtureRequest) -> Shop:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Shop)
    return found
