"""`datalayer keys`: make a key for secrets, see which are in use, seal everything with the newest."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, add_lock_timeout, whole_number
from datalayer.cli.failure import UsageError
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.cli.progress import Progress
from datalayer.engine.keys import KeyRing, KeySource, new_key
from datalayer.errors import DatabaseUnavailable, DataLayerError

if TYPE_CHECKING:
    from datalayer.repository.rotation import Rotation, SealedColumn

__all__ = ["COMMANDS"]

_UNKNOWN = "DL-K001"
_UNREADABLE = "DL-K002"
_LEFT = "DL-K003"


# -- keys new ----------------------------------------------------------------------------------


def _add_new(parser: Parser) -> None:
    parser.add_argument("--id", metavar="NAME", help="what to call it; by default its day and some letters")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--file", metavar="PATH", help="put it first into this file, made with mode 0600")
    place.add_argument("--keyring", metavar="SERVICE", help="put it first into the system's keyring")
    place.add_argument("--print", action="store_true", help="print it as ID:BASE64 and store it nowhere")


def _new(call: Invocation) -> Result:
    arguments = call.arguments
    made, key = new_key()
    name = made if arguments.id is None else arguments.id
    # refuses an id of another form
    KeyRing({name: key})
    if arguments.print:
        text = f"{name}:{base64.b64encode(key).decode()}"
        return Result({"id": name, "key": text, "source": None, "keys": [name]}, [text])
    source = _source(call)
    if not source.is_writable:
        raise UsageError(
            f"{source.label} cannot be written by a command",
            hint="run `datalayer keys new --print`, and put what it prints before the other keys there",
        )
    ring = source.add(name, key)
    others = len(ring.ids) - 1
    lines = [f"key {name} seals from now on; it is in {source.label}"]
    if others:
        lines.append(f"{others} older key{'s'[: others != 1]} kept for what they sealed")
    lines.append("keep a copy of it apart from the backups: without it no secret can be read")
    facts = {"id": name, "source": source.label, "keys": list(ring.ids)}
    return Result(facts, lines, next="datalayer keys rotate" if others else None)


def _source(call: Invocation) -> KeySource:
    if call.arguments.file is not None:
        return KeySource.file(call.arguments.file)
    if call.arguments.keyring is not None:
        return KeySource.keyring(call.arguments.keyring)
    return KeySource.choose()


# -- keys list ---------------------------------------------------------------------------------


def _add_list(_: Parser) -> None:
    """Take the common options only."""


def _list(call: Invocation) -> Result:
    source = KeySource.choose()
    ring = source.read()
    ids = () if ring is None else ring.ids
    columns: list[SealedColumn] | None = None
    without = ""
    try:
        columns = _stored(call)
    except DatabaseUnavailable as exc:
        without = f"not counted: {exc.what}"
    counts = _by_key(columns or ())
    unknown = {name: count for name, count in counts.items() if name not in ids}
    entries = [
        {"id": name, "primary": place == 0, "values": None if columns is None else counts.get(name, 0)}
        for place, name in enumerate(ids)
    ]
    facts: dict[str, Any] = {
        "source": source.label,
        "keys": entries,
        "unknown": [{"id": name, "values": count} for name, count in unknown.items()],
    }
    rows = [
        [one["id"], "seals" if one["primary"] else "opens", "?" if columns is None else one["values"]]
        for one in entries
    ]
    rows += [["(no form of a key)" if name is None else name, "MISSING", n] for name, n in unknown.items()]
    shown: list[str | Table] = [Table(["key", "use", "values"], rows, frozenset({"values"}))] if rows else []
    shown.append(f"{source.label}{'' if ids else ' holds no key'}")
    if without:
        shown.append(without)
    older = sum(counts.get(name, 0) for name in ids[1:])
    following = "datalayer keys new" if not ids else "datalayer keys rotate" if older else None
    return Result(facts, shown, _missing(unknown), following, 1 if unknown else 0)


def _stored(call: Invocation) -> list[SealedColumn]:
    from datalayer.domains import encrypted_columns
    from datalayer.repository.rotation import sealed_columns

    with call.look() as store:
        return sealed_columns(store.engine, encrypted_columns())


def _by_key(columns: Sequence[SealedColumn]) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for one in columns:
        for name, count in one.by_key.items():
            counts[name] = counts.get(name, 0) + count
    return counts


def _missing(unknown: dict[str | None, int]) -> list[dict[str, Any]]:
    return [
        _finding(_UNKNOWN, None, name, count, f"{count} values name the key {name}, which is not there")
        if name is not None
        else _finding(_UNKNOWN, None, None, count, f"{count} values have not the form of sealed ones")
        for name, count in unknown.items()
    ]


# -- keys rotate -------------------------------------------------------------------------------


def _add_rotate(parser: Parser) -> None:
    parser.add_argument("--plan", action="store_true", help="say how much there is to do and change nothing")
    parser.add_argument(
        "--batch", metavar="N", type=whole_number(1), default=200, help="values of one transaction (200)"
    )
    add_lock_timeout(parser)


def _rotate(call: Invocation) -> Result:
    if call.arguments.plan:
        return _plan(call)
    with call.change() as store, Progress(call.terminal, "seal", None) as progress:
        done = store.rotate_keys(batch=call.arguments.batch, progress=progress.advance)
    findings = [
        _finding(
            _UNREADABLE,
            place[0],
            place[1],
            count,
            f"{count} values do not open: changed, moved, or their key is not there",
            [{"key": key} for key in done.rows.get(place, ())],
        )
        for place, count in done.unreadable.items()
    ]
    if done.remaining:
        message = f"{done.remaining} values were changed again and again meanwhile"
        findings.append(_finding(_LEFT, None, None, done.remaining, message))
    said = f"{done.resealed} value{'s'[: done.resealed != 1]} sealed again with {done.primary}"
    lines = [said if done.total else f"nothing to do: {done.primary} sealed everything"]
    lines += [str(finding["message"]) for finding in findings]
    following = "datalayer keys rotate" if done.remaining else "datalayer keys list" if findings else None
    return Result(_told(done), lines, findings, following, 0 if done.is_complete else 1)


def _plan(call: Invocation) -> Result:
    ring = KeySource.choose().read()
    if ring is None:
        raise DataLayerError(f"{KeySource.choose().label} holds no key", hint="run `datalayer keys new`")
    pending = [
        (one, sum(count for name, count in one.by_key.items() if name != ring.primary))
        for one in _stored(call)
    ]
    total = sum(count for _, count in pending)
    facts = {
        "plan": True,
        "primary": ring.primary,
        "total": total,
        "columns": [{"table": one.table, "column": one.column, "values": count} for one, count in pending],
    }
    if not total:
        return Result(facts, [f"nothing to do: {ring.primary} sealed everything"])
    rows = [[one.table, one.column, count] for one, count in pending if count]
    shown = Table(["table", "column", "values"], rows, frozenset({"values"}))
    return Result(facts, [shown, f"would seal {total} with {ring.primary}"], (), "datalayer keys rotate", 1)


def _told(done: Rotation) -> dict[str, Any]:
    return {
        "plan": False,
        "primary": done.primary,
        "total": done.total,
        "resealed": done.resealed,
        "overtaken": done.overtaken,
        "remaining": done.remaining,
        "unreadable": sum(done.unreadable.values()),
    }


def _finding(
    number: str,
    table: str | None,
    name: str | None,
    count: int,
    message: str,
    rows: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    return {
        "id": number,
        "severity": "error" if number != _LEFT else "warning",
        "table": table,
        "object": name,
        "count": count,
        "message": message,
        "repair": "manual",
        "rows": list(rows),
    }


COMMANDS = {
    "keys new": Command(_add_new, _new),
    "keys list": Command(_add_list, _list),
    "keys rotate": Command(_add_rotate, _rotate),
}
