"""Threads, messages and files that the database accepts whatever is drawn."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from datalayer.domains.builder import BuilderFile, BuilderMessage, BuilderThread
from datalayer.domains.builder.model import ROLES, TEMPLATES
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = ["builder_files", "builder_messages", "builder_threads", "file_paths", "make_thread"]


def builder_threads(*, user_id: str) -> SearchStrategy[BuilderThread]:
    """Give threads without messages and files."""
    return st.builds(
        BuilderThread,
        id=st.builds(new_id),
        user_id=st.just(user_id),
        title=texts(max_size=255),
        template=st.sampled_from(TEMPLATES),
    )


def builder_messages(*, thread_id: str) -> SearchStrategy[BuilderMessage]:
    """Give messages of a thread."""
    return st.builds(
        BuilderMessage,
        id=st.builds(new_id),
        thread_id=st.just(thread_id),
        role=st.sampled_from(ROLES),
        content=texts(),
        mentions=st.lists(json_documents(), max_size=3),
        created_at=moments(),
    )


def file_paths() -> SearchStrategy[str]:
    """Give paths of files, some of which are drawn often."""
    names = texts(min_size=1, max_size=10).filter(lambda name: name != ".." and not set(name) & {"/", "\\"})
    drawn = st.builds("/".join, st.lists(names, min_size=1, max_size=3))
    return st.sampled_from(["index.html", "src/App.tsx", "src/main.ts", "/abs.css"]) | drawn


def builder_files(*, thread_id: str) -> SearchStrategy[BuilderFile]:
    """Give files of a thread; a thread takes each path once."""
    return st.builds(
        BuilderFile,
        id=st.builds(new_id),
        thread_id=st.just(thread_id),
        file_path=file_paths(),
        file_content=texts(),
    )


def make_thread(store: Store, *, user_id: str, title: str = "Thread", files: int = 0) -> BuilderThread:
    """Make a thread with one message and this many files."""
    contents = {f"src/{number}.ts": f"export default {number}\n" for number in range(files)}
    thread = store.builder.create_thread(user_id, title, files=contents)
    store.builder.post_message(thread.id, "user", "Build it", user_id=user_id)
    return store.builder.get_thread(thread.id, user_id=user_id)
