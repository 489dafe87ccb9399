"""Every model of the package can be drawn, and what is drawn is stored and comes back as it was."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any, cast

import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import datalayer.domains
import datalayer.testing.strategies as drawn
from datalayer.engine.keys import KeyRing
from datalayer.store import Store
from datalayer.testing.strategies import attachments, events, jobs, search, sessions, state

pytest_plugins = ["datalayer.testing.plugin"]

# what is sealed is written by its repository alone, reference data by migrations
NOT_DRAWN = {"AiProviderKey", "ContainerAddon", "ContainerFlavor", "ResourceTier"}


def models() -> set[str]:
    for module in pkgutil.walk_packages(datalayer.domains.__path__, "datalayer.domains."):
        importlib.import_module(module.name)

    def below(cls: type[peewee.Model]) -> set[str]:
        own = {cls.__name__} if cls.__module__.startswith("datalayer.domains.") else set[str]()
        return own.union(*(below(child) for child in cls.__subclasses__()))

    return {name for name in below(peewee.Model) if not name.startswith("_")}


def strategies() -> set[str]:
    """The names of the models that some strategy gives."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(drawn.__path__, f"{drawn.__name__}."):
        for _, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            given_type = str(inspect.signature(function).return_annotation)
            found.update(re.findall(r"\w+", given_type))
    return found


def test_every_model_has_a_strategy() -> None:
    assert models() - strategies() - NOT_DRAWN == set()


DRAWN: list[tuple[str, SearchStrategy[Any]]] = [
    ("sessions.Session", sessions.sessions()),
    ("jobs.Job", jobs.jobs()),
    ("state.KeyValueEntry", state.key_value_entries()),
    ("state.CachedEntry", state.cached_entries()),
    ("attachments.AttachmentContent", attachments.attachment_contents()),
    ("events.AnalyticsEvent", events.analytics_events()),
    ("events.AnalyticsRollup", events.analytics_rollups()),
    ("search.SearchDocument", search.search_documents()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "strategy"), DRAWN, ids=[place for place, _ in DRAWN])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_drawn_is_stored(
    store: Store, place: str, strategy: SearchStrategy[Any], data: st.DataObject
) -> None:
    row = data.draw(strategy)
    rows = store.repository(cast("type[peewee.Model]", type(row)))
    store.engine.write(f"DELETE FROM {rows.shape.table}")
    written: dict[str, Any] = dict(row.__data__)
    rows.add(row)

    found: Any = rows.one()
    assert {name: found.__data__[name] for name in written} == written


def test_an_app_s_test_is_given_a_store(datalayer_store: Store, datalayer_database: Any) -> None:
    user = datalayer_store.accounts.sign_up("ann@example.org")

    assert isinstance(datalayer_store.engine.options.keys, KeyRing)
    assert datalayer_store.accounts.get(user.id).email == "ann@example.org"
    assert datalayer_database.is_file()
