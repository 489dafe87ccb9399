"""Keys with their values, as the database accepts them."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from datalayer.domains.state import CachedEntry, KeyValueEntry
from datalayer.repository.project import project_hash
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = ["cached_entries", "key_value_entries", "keys"]


def keys() -> st.SearchStrategy[str]:
    """Give keys, some of which are drawn often."""
    return st.sampled_from(["theme", "user:1", "user:2"]) | texts(min_size=1, max_size=20)


@st.composite
def key_value_entries(draw: st.DrawFn) -> KeyValueEntry:
    """Give keys of the app; each key once."""
    updated = draw(moments())
    return KeyValueEntry(
        key=draw(keys()),
        value=draw(json_documents()),
        updated_at=updated,
        expires_at=draw(st.none() | st.just(updated + timedelta(hours=1))),
    )


@st.composite
def cached_entries(draw: st.DrawFn, *, project_directory: str = "/srv/shop") -> CachedEntry:
    """Give keys of a project; each key once."""
    updated = draw(moments())
    return CachedEntry(
        project_directory=project_directory,
        project_hash=project_hash(project_directory),
        key=draw(keys()),
        value=draw(json_documents()),
        updated_at=updated,
        expires_at=draw(st.none() | st.just(updated + timedelta(hours=1))),
    )
