"""J009, J011, R001: what is around the folder: stray migrations, git, code that names what is dropped.

Looks only where the project's folder is given, and reads a bounded number of files.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from datalayer.schema.numbered.folder import UNDOING, checksum_of_text
from datalayer.schema.numbered.script import normal_form
from datalayer.schema.tokens import fold
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

_NOT_OURS_LIST = """
node_modules venv env dist build out target vendor site-packages __pycache__ tests test testdata
fixtures examples example coverage htmlcov
"""
_NOT_OURS = frozenset(_NOT_OURS_LIST.split())
_CODE = (".py", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".sql")
_MOST_FILES = 5000
_MOST_BYTES = 1_000_000
_NEAR = 0.85
_NUMBERED = re.compile(r"\d+[_-].+\.sql\Z")
_CHANGES_SCHEMA = re.compile(
    r"\b(?:CREATE|ALTER|DROP)\s+(?:UNIQUE\s+)?(?:TABLE|INDEX|VIEW|TYPE)\b", re.IGNORECASE
)
_GIT_TIMEOUT_S = 20


def _walk(root: Path) -> Iterator[Path]:
    """Yield the files of a project, without what was installed, built or made for tests; a bounded number."""
    seen = 0
    for folder, names, files in os.walk(root):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and name not in _NOT_OURS and "egg-info" not in name
        )
        for name in sorted(files):
            seen += 1
            if seen > _MOST_FILES:
                return
            yield Path(folder, name)


def _own_folder(subject: Subject) -> Path | None:
    root = subject.folder.root
    return root.resolve() if isinstance(root, Path) else None


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _outside(subject: Subject) -> Iterator[Hit]:
    own = _own_folder(subject)
    if subject.root is None or own is None:
        return
    found: dict[Path, list[Path]] = {}
    for path in _walk(subject.root.resolve()):
        if own not in path.parents and _NUMBERED.fullmatch(path.name) and not path.name.endswith(UNDOING):
            found.setdefault(path.parent, []).append(path)
    inside = {source.name: normal_form(source.text) for source in subject.sources if source.is_sql}
    for folder, paths in found.items():
        texts = {path: _read(path) for path in paths}
        paths = [path for path in paths if _CHANGES_SCHEMA.search(texts[path])]
        twins = {path: twin for path in paths if (twin := _twin(texts[path], inside))}
        for path, twin in twins.items():
            message = f"it is nearly {twin}, and stands outside of {subject.folder.root}: nobody applies it"
            yield Hit(str(path), 1, message, "remove the one of the two that is not meant", "error")
        others = [path for path in paths if path not in twins]
        if others:
            count = f"{len(others)} migration{'s'[: len(others) != 1]}"
            message = f"{folder} has {count} outside of {subject.folder.root}, which nobody applies"
            yield Hit(str(others[0]), 1, message)


def _twin(text: str, inside: dict[str, tuple[str, ...]]) -> str:
    form = normal_form(text)
    for name, other in inside.items():
        if not form or not other or not 0.7 < len(form) / len(other) < 1.4:
            continue
        matcher = SequenceMatcher(None, form, other, autojunk=False)
        if form == other or (matcher.quick_ratio() > _NEAR and matcher.ratio() > _NEAR):
            return name
    return ""


@dataclass(frozen=True, slots=True)
class _Repository:
    """A git repository as the folder stands in it: `prefix` is the folder's path in it, with a slash."""

    program: str
    top: Path
    prefix: str

    def ask(self, *words: str) -> str:
        """Run git and give its output; empty where it fails."""
        command = [self.program, "-C", str(self.top), "-c", "core.quotepath=off", *words]
        try:
            done = subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_GIT_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _repository(subject: Subject) -> _Repository | None:
    own, program = _own_folder(subject), shutil.which("git")
    if subject.root is None or own is None or program is None:
        return None
    top = _Repository(program, own, "").ask("rev-parse", "--show-toplevel").strip()
    if not top:
        return None
    prefix = own.relative_to(Path(top).resolve()).as_posix()
    return _Repository(program, Path(top), "" if prefix == "." else f"{prefix}/")


def _baseline(git: _Repository) -> str:
    """Give what others have: the upstream branch, the remote's main one, the last tag, else HEAD."""
    for words in (
        ("rev-parse", "--verify", "--quiet", "@{upstream}"),
        ("rev-parse", "--verify", "--quiet", "origin/HEAD"),
        ("describe", "--tags", "--abbrev=0"),
        ("rev-parse", "--verify", "--quiet", "HEAD"),
    ):
        found = git.ask(*words).strip()
        if found:
            return found
    return ""


def _edited(subject: Subject) -> Iterator[Hit]:
    git = _repository(subject)
    base = _baseline(git) if git else ""
    if git is None or not base:
        return
    # prisma's files are a folder further down
    depth = ("-r",) if subject.layout == "prisma" else ()
    entries = filter(None, git.ask("ls-tree", "-z", *depth, base, git.prefix or "./").split("\0"))
    shared = {path: head.split()[-1] for head, _, path in (entry.partition("\t") for entry in entries)}
    present = {source.file.label: source for source in subject.sources}
    forms = {_form_of(source): source.name for source in present.values()}
    told: set[str] = set()
    for path, blob in sorted(shared.items()):
        name = path.removeprefix(git.prefix)
        if not re.fullmatch(r"V?\d+[._-].+\.(?:sql|py)", name) or name.endswith(UNDOING):
            continue
        source = present.get(name)
        if source is not None and _blob_of(source) == blob:
            continue
        kind = "python" if name.endswith(".py") else "sql"
        old = checksum_of_text(git.ask("show", f"{base}:{path}"), kind)
        if source is None:
            told.add(name)
            where = str(subject.folder.root / name)
            what = f"was renamed to {forms[old]}" if old in forms else "was deleted"
            yield Hit(where, 1, f"{name} is in version control and {what}")
        elif old != _form_of(source):
            told.add(name)
            yield Hit(source.path, 1, f"{name} was changed since it was shared")
    yield from _edited_in_history(subject, git, told)


def _blob_of(source: Source) -> str:
    """Give the name that git has for the content of a file."""
    content = source.file.content()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _form_of(source: Source) -> str:
    return source.file.checksum_norm


def _edited_in_history(subject: Subject, git: _Repository, told: set[str]) -> Iterator[Hit]:
    """Find files that a commit changed after a later migration had been committed."""
    log = git.ask(
        "log",
        "--reverse",
        "--no-merges",
        "--name-status",
        "--no-renames",
        "--format=>%H",
        "--",
        git.prefix or ".",
    )
    known: set[str] = set()
    commit = ""
    places = {source.file.label: place for place, source in enumerate(subject.sources)}
    for line in islice(log.splitlines(), 20_000):
        if line.startswith(">"):
            commit = line[1:]
            continue
        status, _, path = line.partition("\t")
        name = path.removeprefix(git.prefix)
        if name not in places:
            continue
        is_late = any(places[other] > places[name] for other in known)
        if status == "M" and is_late and name not in told and _changes_tokens(git, commit, path, name):
            told.add(name)
            source = subject.sources[places[name]]
            message = f"commit {commit[:10]} changed {name} after later migrations were there"
            yield Hit(source.path, 1, message)
        known.add(name)


def _changes_tokens(git: _Repository, commit: str, path: str, name: str) -> bool:
    kind = "python" if name.endswith(".py") else "sql"
    before, after = git.ask("show", f"{commit}^:{path}"), git.ask("show", f"{commit}:{path}")
    return checksum_of_text(before, kind) != checksum_of_text(after, kind)


@dataclass(frozen=True, slots=True)
class _Gone:
    """A table or column that a file drops or renames and that is not there in the end."""

    source: Source
    line: int
    table: str
    column: str = ""


def _gone(subject: Subject) -> Iterator[_Gone]:
    last = subject.replay.schema
    for step in subject.replay.steps:
        if step.before is step.after:
            continue
        for table in step.before.tables:
            if table.kind != "table" or subject.replay.starts[step.source.name].table(table.name) is None:
                continue
            if step.after.table(table.name) is None and last.table(table.name) is None:
                yield _Gone(step.source, step.statement.line, table.name)
            new, end = step.after.table(table.name), last.table(table.name)
            for column in table.columns:
                if (
                    new is not None
                    and end is not None
                    and not new.column(column.name)
                    and not end.column(column.name)
                ):
                    yield _Gone(step.source, step.statement.line, table.name, column.name)
    known = subject.model.known.tables
    for event in subject.model.events:
        change = event.change
        if event.table is None or event.is_new:
            continue
        if change.kind in ("drop table", "rename table") and change.table not in known:
            yield _Gone(event.source, change.line, change.table)
        elif change.kind in ("drop column", "rename column") and change.name in event.columns:
            table = known.get(change.table)
            if table is not None and change.name not in table.columns:
                yield _Gone(event.source, change.line, change.table, change.name)


def _still_named(subject: Subject) -> Iterator[Hit]:
    own = _own_folder(subject)
    gone = list(dict.fromkeys(_gone(subject))) if subject.root is not None else []
    if not gone or own is None or subject.root is None:
        return
    left = dict.fromkeys(gone)
    for path in _walk(subject.root.resolve()):
        if path.suffix not in _CODE or own in path.parents or _NUMBERED.fullmatch(path.name):
            continue
        text = _read(path)
        words = set(re.findall(r"\w+", fold(text)))
        for one in [*left]:
            wanted = {fold(one.table), fold(one.column)} - {""}
            if wanted <= words:
                del left[one]
                what = f"{one.table}.{one.column}" if one.column else one.table
                line = _line_of(text, one.column or one.table)
                message = f"{what} goes, and {_relative(path, subject.root)}:{line} still names it"
                yield Hit(one.source.path, one.line, message)


def _line_of(text: str, word: str) -> int:
    match = re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root.resolve()).as_posix()


RULES = (
    Rule(
        "J009",
        "warning",
        "migrations outside of the folder",
        "move them into the folder, or name their folder with --dir",
        _outside,
    ),
    Rule(
        "J011",
        "error",
        "git: a shared migration was edited, renamed or deleted",
        "bring it back as it was, and put the change in a new file",
        _edited,
    ),
    Rule(
        "R001",
        "warning",
        "something is dropped or renamed while code still names it",
        "change the code and release it first; drop in a later release",
        _still_named,
    ),
)
