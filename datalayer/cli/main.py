"""The program: which commands there are, and the way to them.

Must stay cheap to import: `--help` loads neither Peewee nor rich, nor any module of a command. A command's
module is imported when it is called, and names its own arguments there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["COMMANDS", "COMMON_OPTIONS", "EXIT_CODES", "main"]

# name: (module in datalayer.cli, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "migrate": ("migrate", "bring the database to the current schema, or to that of a file or folder"),
    "migrations list": ("migrations", "show each migration: applied, pending, changed or missing"),
    "migrations new": ("migrations", "make the next migration file of a folder"),
    "migrations validate": (
        "migrations_validate",
        "look for mistakes in a folder of migrations",
    ),
    "migrations rehearse": ("migrations_rehearse", "try what is pending on a copy with rows in every table"),
    "migrations squash": ("migrations_squash", "write the consolidated file, proved equal to the files"),
    "migrations verify": ("migrations_squash", "prove that a database is what its applied migrations make"),
    "migrations adopt": ("migrations_adopt", "take over what another tool, or an older program, migrated"),
    "check-db": ("check_db", "look for damage, drift and broken references; changes nothing"),
    "repair": ("repair", "put right what check-db finds, keeping every original byte"),
    "backup": ("backup", "write a verified copy while others go on working"),
    "backups": ("backups", "list the backups of this database, newest first"),
    "backups prune": ("backups", "remove the backups that no rule keeps"),
    "restore": ("restore", "make the database again from a backup, keeping what it replaces"),
    "reset-db": ("reset_db", "empty the database at the current schema, after a verified backup"),
    "stats": ("stats", "show tables with rows and sizes, jobs by status, the log's size, settings"),
    "er": ("er", "draw the tables and their references, as Mermaid, SVG or Graphviz text"),
    "report": ("report", "write one page on health, migrations, tables, backups and more"),
    "config": ("config_command", "show each setting and where its value comes from"),
    "sessions list": ("sessions", "list sessions, newest first"),
    "sessions show": ("sessions", "show one session with its files"),
    "jobs list": ("jobs", "list jobs, active ones first"),
    "jobs show": ("jobs", "show one job with its response"),
    "jobs retry": ("jobs", "queue a failed or canceled job once more"),
    "jobs cancel": ("jobs", "cancel one job, or all of a session"),
    "jobs prune": ("jobs", "delete finished jobs and their files"),
    "jobs work": ("jobs_work", "run jobs with worker processes"),
    "kv get": ("kv", "print the value of a key"),
    "kv set": ("kv", "store a value, JSON or text"),
    "kv delete": ("kv", "delete a key, printing what it held"),
    "kv list": ("kv", "list keys in order, with their values"),
    "keys new": ("keys", "make a key that secrets are sealed with from now on"),
    "keys list": ("keys", "list the keys, and how many values each one sealed"),
    "keys rotate": ("keys", "seal all secrets again with the newest key"),
    "demo": ("demo", "make a database and do real work in every domain"),
}
COMMON_OPTIONS = (
    ("--database URL|PATH", "the database: a SQLite path or a postgresql:// URL"),
    ("--json", "print one JSON object instead of text"),
    ("--debug", "add the traceback to an error"),
    ("--help, -h", "show help, also after a command"),
    ("--version", "show the version"),
)
EXIT_CODES = """\
Exit codes: 0 fine, 1 findings or nothing found, 2 usage or a word is missing (--yes), 3 database unavailable,
4 not a database or too damaged, 5 failed or refused with everything rolled back, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    code = 0
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has seen enough (`| head`); at exit Python would flush, and complain, once more
        _silence_stdout()
    except OSError as exc:
        # only writing the answer itself raises it up to here
        _silence_stdout()
        sys.stderr.write(f"error DL-E604: cannot write to standard output\n  {exc.strerror}\n")
        code = 5
    except KeyboardInterrupt:
        sys.stderr.write("error DL-E603: interrupted\n")
        code = 130
    return code


def _run(words: list[str]) -> int:
    if words and words[0] in ("--help", "-h"):
        print(root_help())
        return 0
    # everything else needs more than this module, so it is loaded now
    from datalayer.cli.dispatch import run

    return run(words)


def root_help() -> str:
    """Give the text of `datalayer --help`."""
    names = [*COMMANDS, *(option for option, _ in COMMON_OPTIONS)]
    width = max(map(len, names)) + 2
    lines = ["usage: datalayer COMMAND [options]", ""]
    lines += ["Care for a datalayer database: schema, checks, backups, and the work in it.", "", "Commands:"]
    lines += [f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "Options, before or after the command:"]
    lines += [f"  {name:<{width}}{text}" for name, text in COMMON_OPTIONS]
    lines += [
        "",
        "Without --database: DATALAYER_DATABASE, DATABASE_URL, [tool.datalayer] of pyproject.toml, or the",
    ]
    lines += ["platform's data folder; `datalayer config` shows which.", "", EXIT_CODES]
    return "\n".join(lines)


def _open_missing_streams() -> None:
    """Give a program that was started without standard output or error (`>&-`) one that leads nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def _silence_stdout() -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        # not a real file: nothing will be flushed into it
        return
