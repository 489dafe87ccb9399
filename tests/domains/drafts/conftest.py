"""draft     the id of a draft of Ada's, with one empty version"""

from __future__ import annotations

import pytest

from datalayer.store import Store


@pytest.fixture
def draft(store: Store, ada: str) -> str:
    return store.drafts.create(ada, title="Letter").draft.id
