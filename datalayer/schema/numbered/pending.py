"""What of a folder a database has not had yet, and where its history and the folder disagree.

By the set of names, never by a high-water mark: a file that comes late is applied all the same. Reads only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches, unified_diff

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.numbered.journal import JournalRow

__all__ = ["Finding", "Pending", "finding", "pending", "refuse_edited"]

Finding = dict[str, object]
_LONGEST_DIFF = 40
_LONGEST_LINE = 80


@dataclass(frozen=True, slots=True)
class Pending:
    """What is to be applied, in order, and what was noticed on the way.

    `applied` are the recorded names in order of application, `journal` what is known of them,
    `without_journal` those that only the plain table names. Findings are {id, severity, file, line, message,
    fix}: J001 an applied file was changed, J002 a pending file sorts before an applied one, J004 an applied
    file (or an entry of drizzle's journal) is gone, J005 a file that drizzle's journal lacks, or a repeatable
    one of flyway's, J006 drizzle's journal names a file twice.
    """

    files: tuple[MigrationFile, ...]
    applied: tuple[str, ...]
    journal: Mapping[str, JournalRow]
    without_journal: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_nothing_to_do(self) -> bool:
        """Whether neither a file nor a name without journal is left."""
        return not self.files and not self.without_journal


def pending(engine: Engine, folder: Folder, *, to: str | None = None) -> Pending:
    """Find what a run would apply, up to and including the file called `to`. Takes no lock, writes nothing.

    Raises MigrationRefused for a folder that cannot be read, two files of one name, and a `to` that is not
    there.
    """
    files = folder.files()
    _refuse_doubles(folder, files)
    wanted = files if to is None else files[: _place(folder, files, to) + 1]
    applied = history.applied_names(engine)
    rows = {row.name: row for row in journal.read(engine)}
    has = set(applied)
    left = tuple(file for file in wanted if file.name not in has)
    findings = [
        *(found for file in files if file.name in has for found in _edited(file, rows.get(file.name))),
        *_late(files, left, has),
        *_missing(folder, folder.all_files(), applied),
        *_folder_problems(folder),
    ]
    bare = tuple(name for name in applied if name not in rows)
    return Pending(left, applied, rows, bare, tuple(findings))


def finding(
    rule: str, severity: str, file: str, message: str, *, line: int | None = None, fix: str = ""
) -> Finding:
    """Make a finding about a file."""
    return {"id": rule, "severity": severity, "file": file, "line": line, "message": message, "fix": fix}


def refuse_edited(engine: Engine, found: Pending) -> None:
    """Refuse to go on where an applied file was changed. Raises MigrationRefused with the findings."""
    edited = [one for one in found.findings if (one["id"], one["severity"]) == ("J001", "error")]
    if not edited:
        return
    first = edited[0]
    more = f" (and {len(edited) - 1} more)" if len(edited) > 1 else ""
    raise MigrationRefused(
        f"{first['file']} was changed after it had been applied{more}; nothing was changed in"
        f" {engine.display_url}",
        findings=edited,
        why=str(first["message"]) if "diff" not in first else _first_change(str(first["diff"])),
        hint=str(first["fix"]),
    )


def _difference_of(before: str, after: str, name: str) -> str:
    """Give the lines in which a file differs from its text when it was applied, as a unified diff."""
    lines = list(
        unified_diff(
            before.splitlines(), after.splitlines(), f"{name} as applied", f"{name} now", lineterm="", n=1
        )
    )
    if len(lines) > _LONGEST_DIFF:
        lines = [*lines[:_LONGEST_DIFF], f"... and {len(lines) - _LONGEST_DIFF} lines more"]
    return "\n".join(lines)


def _first_change(diff: str) -> str:
    """Give the first line of a unified diff that went and the one that came, for a message of one line."""
    lines = diff.splitlines()[3:]
    gone = next((line[1:].strip() for line in lines if line.startswith("-")), None)
    come = next((line[1:].strip() for line in lines if line.startswith("+")), None)
    was, now = (f"`{one[:_LONGEST_LINE]}`" if one else "nothing" for one in (gone, come))
    return f"it was {was}, and is {now} (`migrations list --json` shows all of it)"


def _refuse_doubles(folder: Folder, files: Sequence[MigrationFile]) -> None:
    double = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if double:
        both = ", ".join(file.label for file in files if file.name == double[0])
        raise MigrationRefused(
            f"{folder.root} has two migrations called {double[0]}",
            why=f"they are {both}, and history can hold the name only once",
            hint="rename the one that is not applied yet",
        )


def _place(folder: Folder, files: Sequence[MigrationFile], to: str) -> int:
    names = [file.name for file in files]
    if to in names:
        return names.index(to)
    near = get_close_matches(to, names, n=1) or [name for name in names if name.startswith(to)]
    raise MigrationRefused(
        f"{folder.root} has no migration {to}",
        why=f"did you mean {near[0]}?"
        if near
        else f"its last one is {names[-1]}"
        if names
        else "it is empty",
        hint="give the name of a file without its ending",
    )


def _edited(file: MigrationFile, row: JournalRow | None) -> list[Finding]:
    if row is None or row.checksum_raw is None or row.checksum_raw == file.checksum_raw:
        return []
    path = str(file.source)
    if row.checksum_norm == file.checksum_norm:
        message = f"{file.label} was applied with another layout or comments; it does the same"
        return [finding("J001", "info", path, message, fix="nothing needs to be done")]
    moment = row.applied_at or row.started_at
    found = finding(
        "J001",
        "error",
        path,
        f"{file.label} is not what was applied on {moment:%Y-%m-%d %H:%M}Z",
        fix="put its old text back, and write the change as a new migration",
    )
    if row.source is not None:
        found["diff"] = _difference_of(row.source, file.read(), file.label)
    return [found]


def _late(files: Sequence[MigrationFile], left: Sequence[MigrationFile], has: set[str]) -> list[Finding]:
    """Tell the files that sort before an applied one of their own domain: domains come in any order."""
    if not left:
        return []
    domains = {file.name: file.mark.domains for file in files}
    places = {file.name: place for place, file in enumerate(files)}
    lasts = {domains[name]: place for name, place in places.items() if name in has}
    return [
        finding(
            "J002",
            "error",
            str(file.source),
            f"{file.label} sorts before the applied {files[last].name}; it is applied all the same",
            fix="give it a number behind the last applied one if it relies on what came later",
        )
        for file in left
        if places[file.name] < (last := lasts.get(domains[file.name], -1))
    ]


def _missing(folder: Folder, files: Sequence[MigrationFile], applied: Sequence[str]) -> list[Finding]:
    there = {file.name for file in files}
    return [
        finding(
            "J004",
            "error",
            str(folder.root),
            f"{name} is applied, and the folder has no such file",
            fix="put the file back; the journal keeps its text, or the folder is older than the database",
        )
        for name in applied
        if name not in there
    ]


def _folder_problems(folder: Folder) -> list[Finding]:
    texts = {
        "no file": ("J004", "drizzle's journal names {name}, and there is no such file", "put the file back"),
        "no entry": ("J005", "drizzle's journal lacks {name}, so it is not applied", "add it to the journal"),
        "double entry": ("J006", "drizzle's journal names {name} twice", "remove one of the entries"),
        "repeatable": (
            "J005",
            "{name} is one that flyway runs again whenever it changes, and is not applied",
            "write what it holds as a file with a version",
        ),
        "no number": (
            "J005",
            "{name} is not called like a migration, and is not applied",
            "call it 0001_name.sql, with the number of its place, or move it out of the folder",
        ),
    }
    found: list[Finding] = []
    for problem in folder.problems():
        rule, message, fix = texts[problem.kind]
        severity = "warning" if problem.kind in ("repeatable", "no number") else "error"
        found.append(finding(rule, severity, problem.path, message.format(name=problem.name), fix=fix))
    return found
