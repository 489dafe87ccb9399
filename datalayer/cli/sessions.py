"""`datalayer sessions`: look at sessions and their files."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, did_you_mean, whole_number
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.errors import NotFound

if TYPE_CHECKING:
    from datalayer.domains.sessions import Session, Sessions
    from datalayer.store import Store

__all__ = ["COMMANDS"]

_NEWEST_FIRST = ("-updated_at", "-id")
_NEAR_AMONG = 100


def _add_list(parser: Parser) -> None:
    parser.add_argument("--project", metavar="DIR", help="only sessions of this project directory")
    parser.add_argument("--search", metavar="TEXT", help="only sessions whose name holds this text")
    parser.add_argument("--limit", metavar="N", type=whole_number(1), default=50, help="at most so many (50)")
    parser.add_argument("--after", metavar="CURSOR", help="go on where the page before ended")


def _list(call: Invocation) -> Result:
    with call.look() as store:
        found, cursor = _find(store, call)
        active = _active_among(store.sessions, found)
    sessions = [{**_facts(one), "is_active": one.id in active} for one in found]
    rows = [
        [one.id, one.name, one.project_directory, one.updated_at, "*" if one.id in active else ""]
        for one in found
    ]
    following = None
    if cursor is not None:
        words = ["datalayer", "sessions", "list", "--after", cursor]
        following = shlex.join(
            [*words, *(["--project", call.arguments.project] if call.arguments.project else [])]
        )
    shown = [Table(["id", "name", "project", "updated", "active"], rows)] if rows else ["no sessions"]
    return Result({"sessions": sessions}, shown, next=following)


def _active_among(sessions: Sessions, found: list[Session]) -> set[str]:
    """Give the ids of the active sessions of the projects that these belong to."""
    active = map(sessions.get_active, {session.project_directory for session in found})
    return {session.id for session in active if session is not None}


def _find(store: Store, call: Invocation) -> tuple[list[Session], str | None]:
    """Give sessions, and the cursor of those that follow."""
    arguments = call.arguments
    if arguments.search is not None:
        found = store.sessions.search(
            arguments.search, project_directory=arguments.project, limit=arguments.limit
        )
        return found, None
    if arguments.project is not None:
        page = store.sessions.page_by_project(arguments.project, size=arguments.limit, after=arguments.after)
    else:
        page = store.sessions.page(order_by=_NEWEST_FIRST, size=arguments.limit, after=arguments.after)
    return list(page.items), page.next


def _add_show(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the session's id, as `sessions list` shows it")


def _show(call: Invocation) -> Result:
    key = call.arguments.id
    with call.look() as store:
        try:
            found = store.sessions.get_with_files(key)
        except NotFound as exc:
            raise _unknown(store.sessions, key) from exc
        active = store.sessions.get_active(found.session.project_directory)
        jobs = store.jobs.count(session_id=key)
    facts = {
        **_facts(found.session),
        "is_active": active is not None and active.id == key,
        "jobs": jobs,
        "included_files": list(found.included_files),
        "excluded_files": list(found.excluded_files),
    }
    files = [(path, "included") for path in found.included_files]
    files += [(path, "excluded") for path in found.excluded_files]
    fields = [(name, value) for name, value in facts.items() if value and not name.endswith("_files")]
    shown = [Table(["field", "value"], fields), *([Table(["file", "is"], files)] if files else [])]
    return Result({"session": facts}, shown)


def _facts(session: Session) -> dict[str, Any]:
    return dict(session.__data__)


def _unknown(sessions: Sessions, key: str) -> NotFound:
    known = [session.id for session in sessions.find(order_by=_NEWEST_FIRST, limit=_NEAR_AMONG)]
    return NotFound(
        f"there is no session {key!r}", why=did_you_mean(key, known), hint="run `datalayer sessions list`"
    )


COMMANDS = {
    "sessions list": Command(_add_list, _list),
    "sessions show": Command(_add_show, _show),
}
