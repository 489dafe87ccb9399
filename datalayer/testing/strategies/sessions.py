"""Sessions and their files, as the database accepts them."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from datalayer.domains.sessions import ExcludedFile, IncludedFile, Session, SessionFiles
from datalayer.repository.fields import new_id
from datalayer.repository.project import project_hash
from datalayer.store import Store
from datalayer.testing.strategies.values import moments, texts

__all__ = ["excluded_files", "included_files", "make_session", "sessions"]

_DIRECTORIES = st.sampled_from(["/srv/shop", "/home/ada/notes", "/data/ümlaut", "C:\\work\\shop"])


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Give sessions of a few projects."""
    directory = draw(_DIRECTORIES)
    patterns = ("title_regex", "content_regex", "negative_title_regex", "negative_content_regex")
    return Session(
        id=new_id(),
        name=draw(texts(min_size=1)),
        project_directory=directory,
        project_hash=project_hash(directory),
        task_description=draw(texts()),
        search_term=draw(texts()),
        **{name: draw(st.sampled_from(["", ".*\\.py$", "^src/"])) for name in patterns},
        is_regex_active=draw(st.booleans()),
        codebase_structure=draw(texts()),
        search_selected_files_only=draw(st.booleans()),
        model_used=draw(st.none() | texts()),
    )


@st.composite
def included_files(draw: st.DrawFn, *, session_id: str) -> IncludedFile:
    """Give files taken into a session; a path is in one of its lists once."""
    path = draw(texts(min_size=1))
    return IncludedFile(session_id=session_id, path=path, created_at=draw(moments()))


@st.composite
def excluded_files(draw: st.DrawFn, *, session_id: str) -> ExcludedFile:
    """Give files left out of a session."""
    path = draw(texts(min_size=1))
    return ExcludedFile(session_id=session_id, path=path, created_at=draw(moments()))


def make_session(
    store: Store, *, project_directory: str = "/srv/shop", name: str = "Session", files: Iterable[str] = ()
) -> SessionFiles:
    """Save a session with these files taken in."""
    return store.sessions.save(Session(name=name, project_directory=project_directory), files)
