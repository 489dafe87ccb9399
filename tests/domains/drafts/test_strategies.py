"""What an app's tests draw is stored by every engine and comes back as it was."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer.store import Store
from datalayer.testing.strategies import drafts as drawn


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_drawn_is_stored(store: Store, data: st.DataObject) -> None:
    if not store.engine.fetch_all("SELECT id FROM users"):
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
    draft = store.drafts.add(data.draw(drawn.drafts(user_id="ada")))
    first = store.drafts.versions.add(data.draw(drawn.versions(draft_id=draft.id)))
    child = drawn.versions(draft_id=draft.id, version_number=2, parent_version_id=first.id)
    second = store.drafts.versions.add(data.draw(child))
    message = store.drafts.messages.add(data.draw(drawn.chat_messages(draft_id=draft.id)))
    conversation = store.drafts.conversations.add(data.draw(drawn.ai_conversations(draft_id=draft.id)))

    for repository, row in (
        (store.drafts, draft),
        (store.drafts.versions, first),
        (store.drafts.versions, second),
        (store.drafts.messages, message),
        (store.drafts.conversations, conversation),
    ):
        assert repository.get(row.id).__data__ == row.__data__
