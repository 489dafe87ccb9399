"""Which file of a folder each entry of a foreign journal stands for, and whether the content is the same.

By content where the tool keeps a checksum, else by name, number or time. Reads files, no database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from datalayer.schema.adopt.checksums import checksum_forms, keeps_checksums
from datalayer.schema.adopt.journal import Entry, ForeignJournal
from datalayer.schema.adopt.version_files import ancestors, read_replaces, read_revisions
from datalayer.schema.numbered.folder import Folder, MigrationFile

__all__ = ["Match", "Matching", "match"]

Content = Literal["same", "changed", "unknown"]
By = Literal["content", "name", "number", "time", "version", "baseline"]

_ENDING = re.compile(r"\.(?:sql|py|[cm]?[jt]s|edn|json|ya?ml)\Z")
_WAY = re.compile(r"\.up\Z")
_PARTS = re.compile(r"[VvUuBbRr]?(?P<number>[0-9]+)[_.\-]+(?P<slug>.+)\Z")
# alembic's revision or flyway's mark of a repeatable script before the words
_WORDS_BEHIND = re.compile(r"(?:[0-9a-f]{6,40}_|R__)(?P<slug>.+)\Z")
_FLYWAY = re.compile(r"V(?P<version>[0-9]+(?:[._][0-9]+)*)__")
_DJANGO_APPS = frozenset(
    [
        "admin",
        "auth",
        "contenttypes",
        "flatpages",
        "messages",
        "redirects",
        "sessions",
        "sites",
        "staticfiles",
    ]
)


@dataclass(frozen=True, slots=True)
class Match:
    """An entry and its file. `form` says how the content that was applied differs in its line ends."""

    entry: Entry
    file: MigrationFile
    by: By
    content: Content
    form: str = ""


@dataclass(frozen=True, slots=True)
class Matching:
    """What a journal says of a folder: entries with their files, and those without; `notes` in words."""

    journal: ForeignJournal
    matches: tuple[Match, ...]
    without_file: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


def match(journal: ForeignJournal, folder: Folder) -> Matching:
    """Find the files that a journal calls applied.

    An entry takes one file and a file one entry, so that two files of one content stay two. Raises
    MigrationRefused where a file cannot be read.
    """
    files = folder.files()
    if journal.mark is not None:
        return _up_to_mark(journal, files)
    journal, notes = _completed(journal, folder, files)
    left = {file.name: file for file in files}
    found: dict[int, Match] = {}
    for attempt in _Finder(journal.tool, files).attempts():
        for place, entry in enumerate(journal.entries):
            hit = None if place in found else attempt(entry, list(left.values()))
            if hit is not None:
                found[place] = hit
                del left[hit.file.name]
    _take_baseline(journal, left, found)
    without = [entry for place, entry in enumerate(journal.entries) if place not in found]
    return Matching(journal, tuple(found[key] for key in sorted(found)), tuple(without), notes)


Attempt = Callable[[Entry, Sequence[MigrationFile]], Match | None]
Test = Callable[[Entry, MigrationFile], By | None]


class _Finder:
    """Finds an entry's file among those that are left, with the checksums of one tool."""

    def __init__(self, tool: str, files: Sequence[MigrationFile]) -> None:
        self.keeps_checksums = keeps_checksums(tool)
        self.forms: dict[str, dict[str, str]] = {}
        if self.keeps_checksums:
            self.forms = {file.name: checksum_forms(tool, file.content()) for file in files}

    def attempts(self) -> list[Attempt]:
        """Give the ways to find a file, surest first."""
        named: list[Attempt] = [
            partial(self._named, test) for test in (_identity, _parts_agree, _number_alone)
        ]
        return [self._named_and_same, self._same, *named] if self.keeps_checksums else named

    def _named_and_same(self, entry: Entry, files: Sequence[MigrationFile]) -> Match | None:
        return self._same(entry, [file for file in files if _identity(entry, file)])

    def _same(self, entry: Entry, files: Sequence[MigrationFile]) -> Match | None:
        for file in files:
            form = self.forms[file.name].get(entry.checksum)
            if entry.checksum and form is not None:
                return Match(entry, file, "content", "same", form)
        return None

    def _named(self, test: Test, entry: Entry, files: Sequence[MigrationFile]) -> Match | None:
        hits: list[tuple[MigrationFile, By]] = []
        for file in files:
            by = test(entry, file)
            if by is not None:
                hits.append((file, by))
        if len(hits) != 1:
            return None
        # its content was looked for before
        is_other = self.keeps_checksums and bool(entry.checksum)
        return Match(entry, *hits[0], "changed" if is_other else "unknown")


def _identity(entry: Entry, file: MigrationFile) -> By | None:
    """Say whether the names are the same but for endings, or drizzle's times."""
    if entry.when is not None and file.when is not None and entry.when == file.when:
        return "time"
    return "name" if _stem(entry.name) in (file.name, _stem(file.source.name), *entry.replaced) else None


def _parts_agree(entry: Entry, file: MigrationFile) -> By | None:
    """Say whether number and words are the same although written in another way: V1__init and 0001_init."""
    mine, theirs = _parts(file.name), _parts(_stem(entry.name))
    if mine and theirs and mine == theirs:
        return "name"
    # names without a number of their own: sqitch's changes, alembic's revisions
    stem = _stem(entry.name)
    behind = _WORDS_BEHIND.match(stem)
    slug = _words(behind["slug"] if behind else stem)
    return "name" if theirs is None and mine and slug and mine[1] == slug else None


def _number_alone(entry: Entry, file: MigrationFile) -> By | None:
    """Say whether the version is the number of the file, for tools that keep a version."""
    return "number" if entry.version is not None and entry.version == file.number else None


# each entry is compared with each file: the same names come again and again
@lru_cache(maxsize=16384)
def _stem(name: str) -> str:
    return _WAY.sub("", _ENDING.sub("", name))


@lru_cache(maxsize=16384)
def _parts(name: str) -> tuple[int, str] | None:
    found = _PARTS.match(name)
    return (int(found["number"]), _words(found["slug"])) if found else None


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _up_to_mark(journal: ForeignJournal, files: Sequence[MigrationFile]) -> Matching:
    """Take every file up to the version of a tool that keeps nothing but that."""
    entry, mark = journal.entries[0], journal.mark or 0
    taken = [file for file in files if file.number is not None and file.number <= mark]
    is_there = any(file.number == mark for file in taken)
    matches = tuple(Match(entry, file, "version", "unknown") for file in taken)
    return Matching(journal, matches, () if is_there else journal.entries)


def _take_baseline(journal: ForeignJournal, left: dict[str, MigrationFile], found: dict[int, Match]) -> None:
    """Take the files up to flyway's baseline: the database had them before flyway came."""
    end = _version(journal.baseline)
    if not end:
        return
    entry = Entry(f"baseline {journal.baseline}")
    below = [file for file in left.values() if () < _version_of(file) <= end]
    for place, file in enumerate(below):
        found[place - len(below)] = Match(entry, file, "baseline", "unknown")
        del left[file.name]


def _version_of(file: MigrationFile) -> tuple[int, ...]:
    """Give the version of a file part by part: V1_2__name is 1.2; empty where it has none."""
    found = _FLYWAY.match(file.name)
    return _version(found["version"] if found else str(file.number or ""))


def _version(text: str) -> tuple[int, ...]:
    """Read a version as flyway does: parts by . or _, and 1.0 is 1; a name of another kind is none."""
    parts = re.split(r"[._]", text)
    while len(parts) > 1 and not parts[-1].strip("0"):
        parts.pop()
    return tuple(map(int, parts)) if all(part.isascii() and part.isdigit() for part in parts) else ()


def _completed(
    journal: ForeignJournal, folder: Folder, files: Sequence[MigrationFile]
) -> tuple[ForeignJournal, tuple[str, ...]]:
    """Add what the journal leaves to the tool's own files: alembic's ancestors, Django's replaced names."""
    if journal.tool == "alembic":
        return _alembic(journal, folder)
    if journal.tool == "drizzle":
        return _drizzle(journal, folder), ()
    if journal.tool == "django":
        return _django(journal, folder, files), ()
    return journal, ()


def _alembic(journal: ForeignJournal, folder: Folder) -> tuple[ForeignJournal, tuple[str, ...]]:
    revisions = read_revisions(folder.root) if isinstance(folder.root, Path) else {}
    chain, missing = ancestors([entry.name for entry in journal.entries], revisions)
    entries = [Entry(revision.file, replaced=(revision.name,)) for revision in chain]
    entries += [Entry(name) for name in missing]
    note = f"alembic's version file of {', '.join(missing)} is not there: what lies before it is not known"
    return replace(journal, entries=tuple(entries)), (note,) if missing else ()


def _drizzle(journal: ForeignJournal, folder: Folder) -> ForeignJournal:
    """Call the entries what the folder's journal calls them: drizzle keeps the time and no name."""
    tags: dict[int | None, str] = {entry.when: entry.tag for entry in folder.journal or ()}
    entries = (
        replace(entry, name=tags.get(entry.when, entry.name)) if entry.name == entry.checksum else entry
        for entry in journal.entries
    )
    return replace(journal, entries=tuple(entries))


def _django(journal: ForeignJournal, folder: Folder, files: Sequence[MigrationFile]) -> ForeignJournal:
    """Keep the rows of the folder's app; a squashed file counts as applied when all that it replaces is."""
    applied = {(entry.app, entry.name) for entry in journal.entries}
    app = _django_app(folder, {entry.app for entry in journal.entries})
    entries = [entry for entry in journal.entries if entry.app == app]
    for file in files:
        pairs = read_replaces(file.read()) if file.kind == "python" else ()
        if not pairs:
            continue
        if (app, file.name) in applied:
            entries += [Entry(name, app=app) for pair_app, name in pairs if (pair_app, name) not in applied]
        elif {*pairs} <= applied:
            entries.append(Entry(file.name, app=app))
    there = {file.name for file in files}
    replaced = {name for file in files if file.kind == "python" for _, name in read_replaces(file.read())}
    # rows that a squash has answered need no file any more
    return replace(
        journal,
        entries=tuple(entry for entry in entries if entry.name in there or entry.name not in replaced),
    )


def _django_app(folder: Folder, apps: set[str]) -> str:
    """Give the app that a folder belongs to: by its path, else the only one that is not Django's own."""
    names = [folder.root.name]
    if isinstance(folder.root, Path):
        names = [folder.root.absolute().parent.name, folder.root.absolute().name]
    own = sorted(apps - _DJANGO_APPS)
    return next((name for name in names if name in apps), own[0] if len(own) == 1 else names[0])
