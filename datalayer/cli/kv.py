"""`datalayer kv`: look at and change single keys, of the app as a whole or of one project."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, add_lock_timeout, did_you_mean, seconds, whole_number
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.errors import NotFound

if TYPE_CHECKING:
    from datalayer.repository.keyvalue import KeyValues
    from datalayer.store import Store

__all__ = ["COMMANDS"]

_NEAR_AMONG = 500
_ABSENT = object()


def _keys(store: Store, call: Invocation) -> KeyValues:
    project = call.arguments.project
    return store.kv if project is None else store.cache.project(project)


def _add_key(parser: Parser) -> None:
    parser.add_argument("key", metavar="KEY", help="the key's name")
    _add_project(parser)


def _add_project(parser: Parser) -> None:
    parser.add_argument(
        "--project", metavar="DIR", help="the keys of this project (cached_state), not the app's"
    )


def _add_get(parser: Parser) -> None:
    _add_key(parser)
    parser.add_argument("--text", action="store_true", help="print a text without quotes and escapes")


def _get(call: Invocation) -> Result:
    key = call.arguments.key
    with call.look() as store:
        keys = _keys(store, call)
        value = keys.get(key, _ABSENT)
        if value is _ABSENT:
            raise _absent(keys, key)
    shown = value if call.arguments.text and isinstance(value, str) else _json(value)
    return Result({"key": key, "value": value}, [shown])


def _add_set(parser: Parser) -> None:
    _add_key(parser)
    parser.add_argument(
        "value", metavar="VALUE", help="JSON, such as 3, '\"text\"' or '{\"a\": 1}'; - reads standard input"
    )
    parser.add_argument("--text", action="store_true", help="take the value as a text, not as JSON")
    parser.add_argument("--ttl", metavar="S", type=seconds, help="forget it after this many seconds")
    add_lock_timeout(parser)


def _set(call: Invocation) -> Result:
    arguments = call.arguments
    word = sys.stdin.read() if arguments.value == "-" else arguments.value
    value = word if arguments.text else _parse(word)
    if arguments.ttl == 0:
        raise UsageError("--ttl must be over 0", hint="to forget a key now, run `datalayer kv delete`")
    with call.change() as store:
        _keys(store, call).set(arguments.key, value, ttl_s=arguments.ttl)
    return Result({"key": arguments.key, "value": value, "ttl_s": arguments.ttl}, [f"{arguments.key} is set"])


def _add_delete(parser: Parser) -> None:
    _add_key(parser)
    add_lock_timeout(parser)


def _delete(call: Invocation) -> Result:
    key = call.arguments.key
    with call.change() as store:
        keys = _keys(store, call)
        value = keys.pop(key, _ABSENT)
        if value is _ABSENT:
            raise _absent(keys, key)
    return Result({"key": key, "deleted": value}, [f"{key} is deleted; it held {_json(value)}"])


def _add_list(parser: Parser) -> None:
    parser.add_argument(
        "prefix", metavar="PREFIX", nargs="?", default="", help="only keys that begin with this"
    )
    _add_project(parser)
    parser.add_argument(
        "--limit", metavar="N", type=whole_number(1), default=100, help="at most so many (100)"
    )
    parser.add_argument("--after", metavar="KEY", help="go on behind this key")


def _list(call: Invocation) -> Result:
    arguments = call.arguments
    with call.look() as store:
        page = _keys(store, call).page(arguments.prefix, size=arguments.limit, after=arguments.after)
    entries = [
        {"key": e.key, "value": e.value, "updated_at": e.updated_at, "expires_at": e.expires_at}
        for e in page.items
    ]
    rows = [[e.key, _json(e.value), e.updated_at, e.expires_at] for e in page.items]
    following = None
    if page.next is not None:
        words = [
            "datalayer",
            "kv",
            "list",
            *([arguments.prefix] if arguments.prefix else []),
            "--after",
            page.next,
        ]
        following = shlex.join([*words, *(["--project", arguments.project] if arguments.project else [])])
    shown = [Table(["key", "value", "updated", "expires"], rows)] if rows else ["no keys"]
    return Result({"entries": entries}, shown, next=following)


def _parse(word: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(word, parse_constant=refuse)
    except (ValueError, RecursionError) as exc:
        raise UsageError(
            "the value is no JSON", why=str(exc), hint="add --text to store it as a text, or quote it as JSON"
        ) from exc


def _absent(keys: KeyValues, key: str) -> NotFound:
    known = [entry.key for entry in keys.page(key[:1], size=_NEAR_AMONG).items]
    return NotFound(f"there is no key {key!r}", why=did_you_mean(key, known), hint="run `datalayer kv list`")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


COMMANDS = {
    "kv get": Command(_add_get, _get),
    "kv set": Command(_add_set, _set),
    "kv delete": Command(_add_delete, _delete),
    "kv list": Command(_add_list, _list),
}
