"""Sandboxes, their chats and onboardings, documents, and what users set, as the database accepts them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from datalayer.domains.sandboxes import (
    FINAL_MESSAGE_STATUSES,
    ONBOARDING_STATUSES,
    SANDBOX_STATUSES,
    ChatMessage,
    ChatSession,
    KnowledgeDocument,
    OnboardingSession,
    Sandbox,
    Setting,
    UserOpencodeConfig,
    UserOpencodeFile,
    UserPreferences,
    encode_embedding,
)
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = [
    "chat_messages",
    "chat_sessions",
    "embeddings",
    "knowledge_documents",
    "make_chat_session",
    "make_sandbox",
    "onboarding_sessions",
    "sandboxes",
    "settings",
    "user_opencode_configs",
    "user_opencode_files",
    "user_preferences",
]

_TIERS = ["starter", "builder", "creator", "power"]
_FLAVORS = ["fullstack", "bare", "js", "python", "go", "rust", "polyglot"]
_ADDONS = ["code-server", "gui", "gpu", "databases", "cloud"]
_COUNTS = st.integers(0, 10**9)
_LISTS = st.lists(json_documents(), max_size=2)
_OBJECTS = st.dictionaries(texts(max_size=10), json_documents(), max_size=2)


@st.composite
def sandboxes(draw: st.DrawFn, *, user_id: str) -> Sandbox:
    """Give sandboxes of every status; no two have the same slug or container."""
    key = new_id()
    status = draw(st.sampled_from(SANDBOX_STATUSES))
    needs_container = status == "running" or draw(st.booleans())
    return Sandbox(
        id=key,
        user_id=user_id,
        name=draw(texts(min_size=1)),
        slug=f"{draw(st.text('abc019', min_size=1, max_size=20))}-{key}",
        description=draw(texts()),
        github_url=draw(st.none() | st.just("https://github.com/example/project")),
        resource_tier_id=draw(st.sampled_from(_TIERS)),
        flavor_id=draw(st.sampled_from(_FLAVORS)),
        addon_ids=draw(st.lists(st.sampled_from(_ADDONS), unique=True)),
        container_id=f"container {key}" if needs_container else None,
        status=status,
        error_message=draw(st.none() | texts()) if status == "error" else None,
        last_accessed_at=draw(st.none() | moments()),
    )


@st.composite
def chat_sessions(draw: st.DrawFn, *, sandbox_id: str, user_id: str) -> ChatSession:
    """Give chat sessions of both sources without messages; no two have the same id of another system."""
    is_gateway = draw(st.booleans())
    return ChatSession(
        id=new_id(),
        sandbox_id=sandbox_id,
        user_id=user_id,
        source="acp_gateway" if is_gateway else "opencode",
        opencode_session_id=draw(st.none() | st.builds(new_id)),
        acp_session_id=draw(st.none() | st.builds(new_id)) if is_gateway else None,
        acp_agent_id=draw(st.none() | texts()) if is_gateway else None,
        title=draw(st.none() | texts()),
        status=draw(st.sampled_from(["active", "archived"])),
    )


@st.composite
def chat_messages(draw: st.DrawFn, *, session_id: str) -> ChatMessage:
    """Give messages that are streaming or final."""
    status = draw(st.sampled_from(["streaming", *FINAL_MESSAGE_STATUSES]))
    return ChatMessage(
        id=new_id(),
        session_id=session_id,
        external_message_id=draw(st.none() | st.builds(new_id)),
        role=draw(st.sampled_from(["user", "assistant", "system", "tool"])),
        content=draw(texts()),
        thinking=draw(st.none() | texts()),
        tool_calls=draw(_LISTS),
        tool_results=draw(_LISTS),
        input_tokens=draw(_COUNTS),
        output_tokens=draw(_COUNTS),
        status=status,
        error_message=draw(st.none() | texts()) if status == "error" else None,
        completed_at=None if status == "streaming" else draw(moments()),
    )


@st.composite
def onboarding_sessions(draw: st.DrawFn, *, sandbox_id: str, user_id: str) -> OnboardingSession:
    """Give onboardings at every stage; a sandbox has one at most."""
    status = draw(st.sampled_from(ONBOARDING_STATUSES))
    return OnboardingSession(
        id=new_id(),
        sandbox_id=sandbox_id,
        user_id=user_id,
        status=status,
        current_step=draw(st.none() | texts()),
        gathered_requirements=draw(_OBJECTS),
        generated_config=draw(_OBJECTS),
        selected_model=draw(st.none() | texts()),
        error_message=draw(st.none() | texts()) if status == "failed" else None,
        completed_at=draw(moments()) if status in ("completed", "skipped") else None,
    )


def embeddings(*, dimensions: int | None = None) -> SearchStrategy[list[float]]:
    """Give vectors of numbers that 32 bits hold exactly."""
    least, most = (1, 8) if dimensions is None else (dimensions, dimensions)
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return st.lists(numbers, min_size=least, max_size=most)


@st.composite
def knowledge_documents(draw: st.DrawFn, *, user_id: str) -> KnowledgeDocument:
    """Give documents with an embedding, without one, or where none could be made."""
    status = draw(st.sampled_from(["pending", "processing", "ready", "error"]))
    stored = encode_embedding(draw(embeddings())) if status == "ready" else None
    return KnowledgeDocument(
        id=new_id(),
        user_id=user_id,
        category=draw(st.sampled_from(["notes", "best_practice", "template"])),
        title=draw(texts()),
        content=draw(texts()),
        tags=draw(st.lists(texts(max_size=10), max_size=3)),
        embedding=stored,
        embedding_dimensions=None if stored is None else len(stored) // 4,
        embedding_status=status,
        embedding_error=draw(st.none() | texts()) if status == "error" else None,
    )


def user_preferences(*, user_id: str) -> SearchStrategy[UserPreferences]:
    """Give preferences; a user has one row at most."""
    return st.builds(
        UserPreferences,
        user_id=st.just(user_id),
        theme_mode=st.sampled_from(["auto", "light", "dark"]),
        theme_preset=texts(),
        default_resource_tier_id=st.none() | st.sampled_from(_TIERS),
        default_flavor_id=st.none() | st.sampled_from(_FLAVORS),
        default_addon_ids=st.lists(st.sampled_from(_ADDONS), unique=True),
        default_agent_id=st.none() | texts(),
        in_app_notifications=st.booleans(),
        system_notifications=st.booleans(),
    )


def user_opencode_configs(*, user_id: str) -> SearchStrategy[UserOpencodeConfig]:
    """Give configurations; a user has one row at most."""
    return st.builds(
        UserOpencodeConfig, user_id=st.just(user_id), global_config=_OBJECTS, permissions=_OBJECTS
    )


def user_opencode_files(*, user_id: str) -> SearchStrategy[UserOpencodeFile]:
    """Give files, no two of which have the same name."""
    return st.builds(
        UserOpencodeFile,
        id=st.builds(new_id),
        user_id=st.just(user_id),
        type=st.sampled_from(["agent", "command", "tool", "plugin"]),
        name=st.builds(new_id),
        extension=st.sampled_from(["md", "ts", "js", "json"]),
        content=texts(),
    )


def settings() -> SearchStrategy[Setting]:
    """Give settings, no two of which have the same key."""
    return st.builds(Setting, key=st.builds(new_id), value=json_documents(), description=texts())


def make_sandbox(store: Store, *, user_id: str, **fields: Any) -> Sandbox:
    """Make a sandbox of a user."""
    return store.sandboxes.create(user_id, **{"name": "Sandbox", **fields})


def make_chat_session(store: Store, *, user_id: str, sandbox_id: str | None = None) -> ChatSession:
    """Make a chat session, in a sandbox of its own where none is given."""
    place = sandbox_id or make_sandbox(store, user_id=user_id).id
    return store.sandboxes.chats.create(place, user_id=user_id)
