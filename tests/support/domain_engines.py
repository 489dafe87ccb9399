"""The engines for tests of a domain that has many: what a file of SQLite adds is left to the slow part."""

from __future__ import annotations

import pytest

__all__ = ["DOMAIN_ENGINES"]

DOMAIN_ENGINES = pytest.mark.parametrize(
    "store", ["memory", pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"], indirect=True
)
