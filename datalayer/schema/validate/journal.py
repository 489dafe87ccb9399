"""J001 to J008: names and numbers of the files, and what journals say that was applied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from datalayer.schema.tokens import fold
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES"]

# flyway's V, and the further parts of its versions
_SLUG = re.compile(r"V?\d+(?:[._]\d+)*[_-]+(?P<slug>.+)")
# a number of so many digits is a date, and dates have gaps
_LONGEST_NUMBER = 6


def _changed(subject: Subject) -> Iterator[Hit]:
    for source in subject.sources:
        row = subject.journal_rows.get(source.name)
        if row is None or not row.checksum_raw or row.checksum_raw == source.file.checksum_raw:
            continue
        if row.checksum_norm and row.checksum_norm == source.file.checksum_norm:
            yield Hit(
                source.path,
                1,
                f"{source.name} was applied with another layout, which changes nothing",
                severity="info",
            )
        elif row.checksum_norm:
            yield Hit(source.path, 1, f"{source.name} was changed after it was applied")


def _out_of_order(subject: Subject) -> Iterator[Hit]:
    applied = subject.applied
    places = [place for place, source in enumerate(subject.sources) if source.name in applied]
    if not places:
        return
    last = subject.sources[places[-1]].name
    for source in subject.sources[: places[-1]]:
        if source.name not in applied:
            yield Hit(source.path, 1, f"{source.name} is pending and sorts before {last}, which is applied")


def _skipped(subject: Subject) -> Iterator[Hit]:
    """Find entries that drizzle never applies: it goes by the newest `when` alone."""
    newest, tag = -1, ""
    for entry in subject.folder.journal or ():
        if entry.when <= newest:
            yield Hit(
                subject.journal_path,
                _line_of_tag(subject, entry.tag),
                f"drizzle skips {entry.tag}: its `when` {entry.when} is not after that of {tag}",
            )
        else:
            newest, tag = entry.when, entry.tag
    yield from _skipped_by_version(subject)


def _skipped_by_version(subject: Subject) -> Iterator[Hit]:
    """Find files below golang-migrate's one version, which nobody has applied."""
    engine = subject.engine
    applied = subject.applied
    if engine is None or not applied or set(engine.columns("schema_migrations")) != {"version", "dirty"}:
        return
    found = engine.fetch_all("SELECT version FROM schema_migrations")
    version = max((int(row[0]) for row in found), default=-1)
    for source in subject.sources:
        number = source.file.number
        if number is not None and number <= version and source.name not in applied:
            message = f"golang-migrate is at version {version} and will never apply {source.name}"
            yield Hit(source.path, 1, message)


def _without_file(subject: Subject) -> Iterator[Hit]:
    for problem in subject.folder.problems():
        if problem.kind == "no file":
            line = _line_of_tag(subject, problem.name)
            yield Hit(
                problem.path, line, f"the journal names {problem.name}, and there is no {problem.name}.sql"
            )
        elif problem.kind == "double entry":
            line = _line_of_tag(subject, problem.name, last=True)
            yield Hit(problem.path, line, f"the journal names {problem.name} twice")
    there = {source.name for source in subject.sources}
    for name in sorted(subject.applied):
        if name not in there:
            message = f"the database had {name} applied, and the folder has no such file"
            yield Hit(
                str(subject.folder.root),
                1,
                message,
                "bring the file back, from version control or the journal",
            )


def _without_entry(subject: Subject) -> Iterator[Hit]:
    for problem in subject.folder.problems():
        if problem.kind == "no entry":
            yield Hit(
                problem.path, 1, f"drizzle's journal has no entry for {problem.name}, so it is never applied"
            )
        elif problem.kind == "repeatable":
            message = f"{problem.name} is one that flyway runs whenever it changes; a run here passes it over"
            yield Hit(problem.path, 1, message, "write what it holds as a file with a version", "warning")
    strays = [problem for problem in subject.folder.problems() if problem.kind == "no number"]
    fix = "call it 0001_name.sql, with the number of its place, or move it out of the folder"
    if strays and not subject.sources:
        # another tool's folder, or not the one that was meant
        message = f"none of {len(strays)} SQL files is called like a migration: none is ever applied"
        yield Hit(strays[0].path, 1, message, fix)
        return
    for problem in strays:
        message = f"{problem.name} is not called like a migration, so it is never applied"
        yield Hit(problem.path, 1, message, fix, "warning")


def _line_of_tag(subject: Subject, tag: str, *, last: bool = False) -> int:
    text = subject.folder.journal_file.read_text(encoding="utf-8-sig")
    place = text.rfind(f'"{tag}"') if last else text.find(f'"{tag}"')
    return text.count("\n", 0, max(place, 0)) + 1


def _same_number(subject: Subject) -> Iterator[Hit]:
    first: dict[int, Source] = {}
    for source in subject.sources:
        number = source.file.number
        if number is None:
            continue
        if number in first:
            message = f"{source.name} has the number of {first[number].name}"
            # prisma tells its folders apart by their whole names
            severity = "warning" if subject.layout == "prisma" else None
            yield Hit(source.path, 1, message, severity=severity)
        else:
            first[number] = source


def _gap(subject: Subject) -> Iterator[Hit]:
    numbered = [source for source in subject.sources if source.file.number is not None]
    if any(_width(source) > _LONGEST_NUMBER for source in numbered):
        return
    steps = [
        (source, (before.file.number or 0), (source.file.number or 0))
        for before, source in pairwise(numbered)
    ]
    usual = Counter(after - before for _, before, after in steps if after > before).most_common(1)
    step = usual[0][0] if usual and usual[0][1] > 1 else 1
    for source, before, after in steps:
        if after - before > step:
            missing = f"{before + step:0{_width(source)}d}"
            more = " and others" if after - before > 2 * step else ""
            yield Hit(source.path, 1, f"no file has the number {missing}{more} before {source.name}")


def _width(source: Source) -> int:
    name = source.name.removeprefix("V")
    return len(name) - len(name.lstrip("0123456789"))


def _same_slug(subject: Subject) -> Iterator[Hit]:
    first: dict[str, Source] = {}
    for source in subject.sources:
        match = _SLUG.fullmatch(source.name)
        if match is None:
            continue
        slug = fold(match["slug"])
        if slug in first:
            yield Hit(source.path, 1, f"{source.name} is called like {first[slug].name}")
        else:
            first[slug] = source


RULES = (
    Rule(
        "J001",
        "error",
        "an applied file was changed",
        "bring the applied text back and put the change in a new file",
        _changed,
    ),
    Rule(
        "J002",
        "error",
        "a pending file sorts before an applied one",
        "give it a number after the applied ones; as it is, it is applied out of order",
        _out_of_order,
    ),
    Rule(
        "J003",
        "error",
        "another tool's journal would skip this entry",
        "give it a `when` (or version) after all that are applied",
        _skipped,
    ),
    Rule(
        "J004",
        "error",
        "a journal entry without file",
        "bring the file back or remove the entry",
        _without_file,
    ),
    Rule("J005", "error", "a file without journal entry", "add its entry or remove the file", _without_entry),
    Rule(
        "J006", "error", "two files with one number", "give the newer one the next free number", _same_number
    ),
    Rule(
        "J007",
        "warning",
        "a gap between numbers",
        "see whether a file is missing; otherwise number without gaps",
        _gap,
    ),
    Rule("J008", "warning", "two files with one name", "give each a name that tells them apart", _same_slug),
)
