"""Command lines: which command is meant, its options, and what was probably meant instead."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from datalayer.cli.failure import UsageError
from datalayer.cli.main import COMMANDS, EXIT_CODES

__all__ = ["Parser", "add_lock_timeout", "did_you_mean", "find_command", "one_of", "seconds", "whole_number"]


class Parser(argparse.ArgumentParser):
    """A command's parser: raises UsageError instead of ending the program, and knows the nearest name."""

    def __init__(self, command: str) -> None:
        super().__init__(
            prog=f"datalayer {command}",
            description=COMMANDS[command][1],
            epilog=EXIT_CODES,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.command = command
        self.option_names: list[str] = []

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an argument, as argparse does, remembering its names."""
        action = super().add_argument(*names, **options)
        # argparse adds --help before this object's own attributes exist
        self.__dict__.setdefault("option_names", []).extend(action.option_strings)
        return action

    def error(self, message: str) -> NoReturn:
        """Refuse a command line."""
        raise UsageError(
            message.replace("\n", " "),
            why=f"usage: {' '.join(self.format_usage().split()[1:])}",
            hint=f"run `datalayer {self.command} --help`",
        )

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words behind the command.

        Raises:
            UsageError: an option or argument that it does not have.
        """
        arguments, extras = self.parse_known_args(words)
        if not extras:
            return arguments
        first = extras[0]
        name = first.partition("=")[0]
        if name.startswith("-") and name != "-":
            near = did_you_mean(name, self.option_names)
            raise UsageError(
                f"`{self.command}` has no option {name}",
                why=near,
                hint=f"run `datalayer {self.command} --help`",
            )
        near = "a database is named by --database" if "://" in first or first.endswith(".db") else None
        raise UsageError(
            f"`{self.command}` does not know what to do with {first!r}",
            why=near,
            hint=f"run `datalayer {self.command} --help`",
        )


def add_lock_timeout(parser: Parser, seconds_text: str = "5") -> None:
    """Add --lock-timeout to a command that writes."""
    parser.add_argument(
        "--lock-timeout",
        metavar="S",
        type=seconds,
        default=float(seconds_text),
        help=f"wait this long for others who write ({seconds_text})",
    )


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Give "did you mean `x`?" with up to three near names, or None."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else None


def find_command(words: Sequence[str]) -> tuple[str, list[str]]:
    """Give the command's name, and all other words in their order.

    A name may have two words; options may stand before it. Gives ("", words) where no command is named.

    Raises:
        UsageError: there is no such command.
    """
    groups = {name.partition(" ")[0] for name in COMMANDS if " " in name}
    name = ""
    rest: list[str] = []
    for place, word in enumerate(words):
        is_value = place > 0 and words[place - 1] == "--database"
        # `backups` is a command, and so is `backups prune`
        if word == "--" or (name in COMMANDS and f"{name} {word}" not in COMMANDS):
            rest += words[place:]
            break
        if word.startswith("-") or is_value:
            rest.append(word)
        elif name:
            name = f"{name} {word}"
            _refuse_unknown(name)
        else:
            name = word
            if name not in groups:
                _refuse_unknown(name)
    return name, rest


def _refuse_unknown(name: str) -> None:
    if name in COMMANDS:
        return
    group = name.partition(" ")[0] if " " in name else ""
    known = [one for one in COMMANDS if not group or one.startswith(f"{group} ")]
    near = did_you_mean(name, known if group else {*known, *(one.partition(" ")[0] for one in known)})
    hint = f"run `datalayer {group} --help`" if group else "run `datalayer --help`"
    raise UsageError(f"there is no command `{name}`", why=near, hint=hint)


def one_of(kind: str, *known: str) -> Callable[[str], str]:
    """Make an argument's type that takes one of these words."""

    def convert(word: str) -> str:
        if word in known:
            return word
        near = did_you_mean(word, known) or f"known: {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"there is no {kind} {word!r}; {near}")

    return convert


def whole_number(least: int) -> Callable[[str], int]:
    """Make an argument's type that takes a whole number not below `least`."""

    def convert(word: str) -> int:
        if not (word.isdecimal() and int(word) >= least):
            raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from {least} up")
        return int(word)

    return convert


def seconds(word: str) -> float:
    """Read a number of seconds."""
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds")
    return value
