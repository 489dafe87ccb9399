"""`datalayer config`: each setting with the place that its value comes from; opens nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import datalayer
from datalayer.cli.arguments import Parser
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table
from datalayer.engine.keys import KEY_VARIABLES, KeySource

__all__ = ["COMMANDS"]


def _add_arguments(parser: Parser) -> None:
    """Add nothing: it has the common options only."""


def _run(call: Invocation) -> Result:
    settings = [
        {"name": name, "value": value, "source": source}
        for name, value, source in (*_places(call), *_look(call))
    ]
    rows = [[one["name"], one["value"], one["source"]] for one in settings]
    return Result({"settings": settings}, [Table(["setting", "value", "from"], rows)])


def _places(call: Invocation) -> list[tuple[str, str, str]]:
    """Give (name, value, source) of what says where things are."""
    address = call.address
    source = "--database" if call.arguments.database is not None else call.choice.source
    places = [("database", address.display, source), ("engine", address.engine, "the database's address")]
    if address.path is not None:
        exists = "yes" if address.path.exists() else "no"
        places.append(("exists", exists, "the file system"))
        places.append(("large results", f"{address.path}-files", "a folder beside the database"))
    named = next((name for name in KEY_VARIABLES if call.terminal.environment.get(name)), None)
    label = KeySource.choose(call.terminal.environment).label
    places.append(("keys", label, f"environment {named}" if named else "the platform's folder for settings"))
    return places


def _look(call: Invocation) -> list[tuple[str, str, str]]:
    """Give (name, value, source) of the program itself and of how it writes."""
    environment = call.terminal.environment
    named = next((name for name in ("NO_COLOR", "FORCE_COLOR") if environment.get(name)), None)
    if named is None and environment.get("TERM") == "dumb":
        named = "TERM"
    colour = "yes" if call.terminal.is_coloured else "no"
    return [
        ("colour", colour, f"environment {named}" if named else "whether output is a terminal"),
        ("datalayer", datalayer.__version__, str(Path(datalayer.__file__).parent)),
        ("sqlite", sqlite3.sqlite_version, "the library Python was built with"),
    ]


COMMANDS = {"config": Command(_add_arguments, _run)}
