"""The demo's work in each further domain: a module a domain, whose `work(store)` gives what it did.

    def work(store: Store) -> tuple[str, dict[str, Any]]

The sentence is for people, the facts for `--json`. It runs twice on one database without complaint.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["Work", "steps"]

Work = Callable[["Store"], tuple[str, dict[str, Any]]]


def steps() -> Mapping[str, Work]:
    """Give the work of each domain that has some, by the domain's name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").work for name in names}
