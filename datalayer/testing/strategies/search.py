"""What is searched, as the database accepts it: mostly made by triggers, drawn to test what reads it."""

from __future__ import annotations

from hypothesis import strategies as st

from datalayer.domains.search import KINDS, SearchDocument
from datalayer.repository.fields import new_id
from datalayer.testing.strategies.values import moments, texts

__all__ = ["search_documents"]


@st.composite
def search_documents(draw: st.DrawFn, *, user_id: str | None = None) -> SearchDocument:
    """Give texts of any kind."""
    return SearchDocument(
        kind=draw(st.sampled_from(KINDS)),
        source_id=new_id(),
        user_id=user_id,
        title=draw(texts()),
        body=draw(texts(max_size=200)),
        updated_at=draw(moments()),
    )
