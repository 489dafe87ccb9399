"""A folder of migration files: which there are, in what order they are applied, and what each of them holds.

Reads files only; knows no database. Five layouts: numbered files (ours, dbmate, golang-migrate and their
like), drizzle's with meta/_journal.json, Cloudflare's for D1, prisma's NAME/migration.sql and flyway's
V1__name.sql.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, cast

from datalayer.errors import MigrationRefused
from datalayer.schema.numbered import script
from datalayer.schema.numbered.domain import DomainMark, mark_of, with_needs
from datalayer.schema.tokens import Statement

__all__ = [
    "CONSOLIDATED",
    "UNDOING",
    "WRANGLER_FILES",
    "FileKind",
    "Folder",
    "FolderProblem",
    "JournalEntry",
    "Layout",
    "MigrationFile",
    "checksum_of_text",
    "read_script",
]

CONSOLIDATED = "consolidated_migrations.sql"
FileKind = Literal["sql", "python"]
Layout = Literal["numbered", "drizzle", "d1", "prisma", "flyway"]

_NUMBERED = re.compile(r"(?P<number>\d+)[_-].+?(?P<way>\.up|\.down|\.rollback)?\.(?P<ending>sql|py)\Z")
UNDOING = (".down.sql", ".rollback.sql", ".down.py", ".rollback.py")
"""The ends of names of files that undo another: golang-migrate's and sqlx's, and yoyo's."""
_LEADING_NUMBER = re.compile(r"\d+")
# https://documentation.red-gate.com/flyway/flyway-concepts/migrations: parts of a version by . or _
_FLYWAY = re.compile(r"V(?P<version>\d+(?:[._]\d+)*)__.+\.sql\Z")
_REPEATABLE = re.compile(r"R__.+\.sql\Z")
# SQL that neither undoes, nor is the whole schema, nor rows for it
_STRAY = re.compile(
    r"(?!consolidated_migrations\.|U\d)(?!.*\.(?:down|undo)\.)(?!.*seed).+\.sql", re.IGNORECASE
)
_PRISMA_FILE = "migration.sql"
WRANGLER_FILES = ("wrangler.toml", "wrangler.json", "wrangler.jsonc")


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One migration file; `name` is what the table of history holds, the file's own without its ending.

    `number` is None where the name begins with none. `when` is drizzle's time of it, in milliseconds.
    """

    number: int | None
    name: str
    source: Traversable
    kind: FileKind
    when: int | None = None

    @property
    def label(self) -> str:
        """What messages call it: its name with ending, prisma's with its folder."""
        file = self.source.name
        return file if file.startswith(self.name) else f"{self.name}/{file}"

    def content(self) -> bytes:
        """Give its bytes. Raises MigrationRefused when it cannot be read."""
        return _bytes_of(self.source)

    def read(self) -> str:
        """Give its whole text. Raises MigrationRefused when it cannot be read or is not UTF-8."""
        return read_script(self.source)

    def part_to_run(self) -> str:
        """Give its text without the part that undoes it, each line where it stands in the file."""
        return script.part_to_run(self.read()) if self.kind == "sql" else self.read()

    def statements(self, dialect: script.Dialect = "sqlite") -> list[Statement]:
        """Give the statements of a .sql file by the rules of an engine; none of a .py file.

        Lines count in the file. Raises MigrationRefused as `read` does.
        """
        return script.statements(self.part_to_run(), dialect) if self.kind == "sql" else []

    @property
    def mark(self) -> DomainMark:
        """The domain that it belongs to. Raises MigrationRefused as `read` does."""
        return mark_of(self.read()) if self.kind == "sql" else DomainMark()

    @property
    def checksum_raw(self) -> str:
        """The sha256 of its bytes. Raises MigrationRefused when it cannot be read."""
        return hashlib.sha256(self.content()).hexdigest()

    @property
    def checksum_norm(self) -> str:
        """The sha256 of what it does.

        Line ends, comments, layout, the case of bare words and the part that undoes it make no difference in
        a .sql file; line ends and blanks at the end of lines in a .py file.
        """
        return checksum_of_text(self.part_to_run(), self.kind)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry of drizzle's meta/_journal.json; the file is `tag`.sql."""

    idx: int
    tag: str
    when: int
    breakpoints: bool


@dataclass(frozen=True, slots=True)
class FolderProblem:
    """What a folder holds and a run passes over, or its journal names and it has not.

    no file, no entry, double entry: drizzle's journal names a file that is not there, lacks one, or has one
    twice. repeatable: flyway runs the file again whenever it changes. no number: a file of SQL that is not
    called like a migration of this layout.
    """

    kind: Literal["no file", "no entry", "double entry", "repeatable", "no number"]
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of migration files, with or without a consolidated one beside them.

    `domains`: only the files of these domains, and those that belong to all (see `numbered.domain`).
    """

    root: Traversable
    domains: frozenset[str] | None = None

    @property
    def layout(self) -> Layout:
        """Whose layout it is.

        drizzle: it has meta/_journal.json. d1: a wrangler file stands in the folder or beside it. prisma: a
        folder in it holds migration.sql. flyway: a file in it is called like V1__name.sql. Else, and wherever
        there are numbered files, numbered.
        """
        if self.journal_file.is_file():
            return "drizzle"
        if isinstance(self.root, Path):
            places = (self.root, self.root.absolute().parent)
            if any((place / name).is_file() for place in places for name in WRANGLER_FILES):
                return "d1"
        entries = self._listing() if self.root.is_dir() else []
        if any(map(_file_of, entries)):
            return "numbered"
        if any(_FLYWAY.match(entry.name) for entry in entries):
            return "flyway"
        return "prisma" if any(map(_is_prismas, entries)) else "numbered"

    @property
    def journal_file(self) -> Traversable:
        """Where drizzle's journal is, or would be."""
        return self.root / "meta" / "_journal.json"

    @property
    def journal(self) -> tuple[JournalEntry, ...] | None:
        """Drizzle's journal as it is written; None in other layouts.

        Raises MigrationRefused for a journal that is not drizzle's.
        """
        source = self.journal_file
        if not source.is_file():
            return None
        try:
            document = json.loads(read_script(source))
            return tuple(_entry(each) for each in document["entries"])
        except (ValueError, KeyError, TypeError) as exc:
            raise MigrationRefused(
                f"{source} is not a drizzle journal",
                why=f"{type(exc).__name__}: {exc}",
                hint="it needs entries with idx, tag and when",
            ) from exc

    def of_domains(self, wanted: Iterable[str]) -> Folder:
        """Give the part of it that these domains and those that they need make up.

        Raises MigrationRefused for an unknown domain.
        """
        marks = [file.mark for file in self.all_files()]
        return replace(self, domains=with_needs(marks, wanted, str(self.root)))

    def files(self) -> list[MigrationFile]:
        """Give the files of its domains in order of application, as `all_files` does."""
        files = self.all_files()
        return files if self.domains is None else [f for f in files if f.mark.counts_in(self.domains)]

    def all_files(self) -> list[MigrationFile]:
        """Give the files in order of application: numbers, then names; drizzle's by idx of its journal.

        Flyway's 1.2 comes before 1.10; prisma's go by the names of their folders. Files that undo (.down.sql,
        .rollback.sql, U1__name.sql; NAME-down.sql beside NAME-up.sql), files that drizzle's journal lacks,
        and flyway's repeatable ones are left out. Raises MigrationRefused without a folder.
        """
        entries = self.journal
        if entries is None:
            return _in_order(self._listing(), self.layout)
        there = {entry.name: entry for entry in self._listing()}
        return [
            MigrationFile(_number_of(entry.tag), entry.tag, there[f"{entry.tag}.sql"], "sql", entry.when)
            for entry in _unique(entries)
            if f"{entry.tag}.sql" in there
        ]

    def problems(self) -> list[FolderProblem]:
        """Give what drizzle's journal and the files disagree in, and the files that a run passes over."""
        entries = self.journal
        if entries is None:
            return list(self._passed_over())
        there = {entry.name: entry for entry in self._listing() if entry.name.endswith(".sql")}
        tags = [entry.tag for entry in entries]
        journal = str(self.journal_file)
        double = [tag for place, tag in enumerate(tags) if tag in tags[:place]]
        stray = sorted(there.keys() - {f"{tag}.sql" for tag in tags} - {CONSOLIDATED})
        return [
            *(FolderProblem("no file", tag, journal) for tag in tags if f"{tag}.sql" not in there),
            *(FolderProblem("no entry", name.removesuffix(".sql"), str(there[name])) for name in stray),
            *(FolderProblem("double entry", tag, journal) for tag in double),
        ]

    def script(self) -> str:
        """Give the whole schema: the consolidated file, or all files (of its domains) one after the other.

        Raises MigrationRefused for a folder of .py files without a consolidated file: they need a database
        to run on.
        """
        consolidated = self.root / CONSOLIDATED
        if consolidated.is_file() and self.domains is None:
            return read_script(consolidated)
        files = self.files()
        for file in files:
            if file.kind == "python":
                raise MigrationRefused(
                    f"{self.root} has {file.label} and no {CONSOLIDATED}",
                    why="a new database gets its whole schema from SQL",
                    hint=f"write the schema to {CONSOLIDATED}",
                )
        # the line break ends a comment on a file's last line, the semicolon its last statement
        return "".join(f"{file.part_to_run()}\n;\n" for file in files)

    def _passed_over(self) -> Iterator[FolderProblem]:
        listing = sorted(self._listing(), key=lambda entry: entry.name)
        taken = {file.source.name for file in _in_order(listing, self.layout)} | _undoing_pairs(listing)
        for entry in listing:
            name = entry.name
            is_read = name in taken or name.endswith(UNDOING)
            if is_read or not _STRAY.fullmatch(name) or not entry.is_file():
                continue
            is_flyways = self.layout == "flyway" and _REPEATABLE.match(name)
            yield FolderProblem("repeatable" if is_flyways else "no number", name, str(self.root / name))

    def place_of(self, line: int) -> str:
        """Give the file, and the line of it, that a line of `script` is."""
        consolidated = self.root / CONSOLIDATED
        if consolidated.is_file() and self.domains is None:
            return f"{consolidated}, line {line}"
        left, place = line, str(self.root)
        for file in self.files():
            count = file.part_to_run().count("\n") + 2
            place = f"{file.source}:{left}"
            if left <= count:
                break
            left -= count
        return place

    def _listing(self) -> list[Traversable]:
        try:
            return list(self.root.iterdir())
        except OSError as exc:
            raise MigrationRefused(
                f"cannot read the migrations folder {self.root}",
                why=exc.strerror,
                hint="give the path of a folder",
            ) from exc


def read_script(source: Traversable) -> str:
    """Read a SQL file. Raises MigrationRefused when it cannot be read or is not UTF-8."""
    try:
        return _bytes_of(source).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise MigrationRefused(f"{source} is not UTF-8", why=str(exc), hint="save it as UTF-8") from exc


@lru_cache(maxsize=64)
def checksum_of_text(text: str, kind: FileKind) -> str:
    """Give what `MigrationFile.checksum_norm` is for a text that was read earlier."""
    if kind == "sql":
        form = "\0".join(script.normal_form(script.part_to_run(text)))
    else:
        form = "\n".join(line.rstrip() for line in text.splitlines()).rstrip()
    return hashlib.sha256(form.encode("utf-8", "surrogatepass")).hexdigest()


def _bytes_of(source: Traversable) -> bytes:
    try:
        return source.read_bytes()
    except OSError as exc:
        raise MigrationRefused(
            f"cannot read {source}", why=exc.strerror, hint="check the path and its mode"
        ) from exc


def _entry(value: object) -> JournalEntry:
    if not isinstance(value, dict):
        raise TypeError("an entry is not an object")
    entry = cast("dict[str, object]", value)
    tag, idx, when = entry["tag"], entry["idx"], entry["when"]
    if not isinstance(tag, str) or not isinstance(idx, int) or not isinstance(when, int):
        raise TypeError(f"an entry has the tag {tag!r}, idx {idx!r}, when {when!r}")
    if not tag or {"/", "\\"} & {*tag}:
        raise ValueError(f"the tag {tag!r} is not the name of a file")
    return JournalEntry(idx, tag, when, bool(entry.get("breakpoints", True)))


def _unique(entries: tuple[JournalEntry, ...]) -> Iterator[JournalEntry]:
    """Yield the entries by idx, each tag once."""
    seen: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.idx):
        if entry.tag not in seen:
            seen.add(entry.tag)
            yield entry


def _number_of(name: str) -> int | None:
    number = _LEADING_NUMBER.match(name)
    return int(number[0]) if number else None


def _in_order(entries: list[Traversable], layout: Layout) -> list[MigrationFile]:
    if layout == "prisma":
        found = [
            MigrationFile(_number_of(entry.name), entry.name, entry / _PRISMA_FILE, "sql")
            for entry in entries
            if _is_prismas(entry)
        ]
        return sorted(found, key=lambda file: file.name)
    if layout == "flyway":
        versions = [(_version_of(entry.name), entry) for entry in entries if _FLYWAY.match(entry.name)]
        return [
            # only a whole version is a number: 1.1 and 1.2 are not two files of one
            MigrationFile(version[0] if len(version) == 1 else None, entry.name[:-4], entry, "sql")
            for version, entry in sorted(versions, key=lambda one: (one[0], one[1].name))
        ]
    pairs = _undoing_pairs(entries)
    numbered = [file for entry in entries if entry.name not in pairs and (file := _file_of(entry))]
    return sorted(numbered, key=lambda file: (file.number or 0, file.name))


def _undoing_pairs(entries: Iterable[Traversable]) -> set[str]:
    """Give db-migrate's NAME-down.sql beside NAME-up.sql; alone, a name may well end in -down."""
    return {f"{entry.name[:-7]}-down.sql" for entry in entries if entry.name.endswith("-up.sql")}


def _is_prismas(entry: Traversable) -> bool:
    return entry.is_dir() and (entry / _PRISMA_FILE).is_file()


def _version_of(name: str) -> tuple[int, ...]:
    """Give the parts of a version of flyway's; what has no version comes to nothing."""
    match = _FLYWAY.match(name)
    return tuple(map(int, re.split(r"[._]", match["version"]))) if match else ()


def _file_of(entry: Traversable) -> MigrationFile | None:
    match = _NUMBERED.match(entry.name)
    if match is None or (match["way"] and match["ending"] == "py") or entry.name.endswith(UNDOING):
        return None
    # prisma's folders may well be called like files
    if entry.is_dir():
        return None
    name = entry.name.rpartition(".")[0].removesuffix(match["way"] or "")
    return MigrationFile(int(match["number"]), name, entry, "sql" if match["ending"] == "sql" else "python")
