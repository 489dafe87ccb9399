"""Drafts, versions, messages and conversations that the database accepts whatever is drawn."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from datalayer.domains.drafts import AIConversation, ChatMessage, CurrentDraft, Draft, Version
from datalayer.domains.drafts.model import ROLES, SOURCES
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import amounts, json_documents, moments, texts

__all__ = ["ai_conversations", "chat_messages", "contents", "drafts", "make_draft", "versions"]


def drafts(*, user_id: str) -> SearchStrategy[Draft]:
    """Give drafts without versions, so without a current one."""
    return st.builds(
        Draft,
        id=st.builds(new_id),
        user_id=st.just(user_id),
        title=st.none() | texts(max_size=255),
        description=st.none() | texts(),
    )


def contents() -> SearchStrategy[str]:
    """Give texts of a few lines, which differ here and there and may lack their last line feed."""
    lines = st.sampled_from(["a", "b", "c", "", "d\r", "e\x0c"])
    return st.builds("\n".join, st.lists(lines, max_size=8)) | texts()


def versions(
    *, draft_id: str, version_number: int = 1, parent_version_id: str | None = None
) -> SearchStrategy[Version]:
    """Give versions with this number, which must be the next one of the draft when they are added."""
    return st.builds(
        Version,
        id=st.builds(new_id),
        draft_id=st.just(draft_id),
        content=contents(),
        version_number=st.just(version_number),
        parent_version_id=st.just(parent_version_id),
        generation_source=st.none() | st.sampled_from(SOURCES),
        created_at=moments(),
    )


def chat_messages(*, draft_id: str) -> SearchStrategy[ChatMessage]:
    """Give messages about a draft."""
    return st.builds(
        ChatMessage,
        id=st.builds(new_id),
        draft_id=st.just(draft_id),
        role=st.sampled_from(ROLES),
        content=texts(),
        metadata=st.none() | json_documents(),
        created_at=moments(),
    )


def ai_conversations(*, draft_id: str) -> SearchStrategy[AIConversation]:
    """Give conversations with what they took so far."""
    return st.builds(
        AIConversation,
        id=st.builds(new_id),
        draft_id=st.just(draft_id),
        provider=texts(min_size=1, max_size=50),
        model=texts(min_size=1, max_size=100),
        system_prompt=st.none() | texts(),
        total_tokens=st.integers(0, 2**40),
        total_cost=amounts(0, 9_999),
        created_at=moments(),
    )


def make_draft(store: Store, *, user_id: str, versions: int = 1, title: str = "Draft") -> CurrentDraft:
    """Make a draft with this many versions in a line, of which the last is current."""
    made = store.drafts.create(user_id, title=title, content="1\n")
    for number in range(2, versions + 1):
        store.drafts.add_version(made.draft.id, f"{number}\n", user_id=user_id)
    return store.drafts.get_current(made.draft.id, user_id=user_id)
