"""What is to be said of a database that is taken over: content, order, what the other tool would skip.

Turns matchings and shapes into findings; reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from datalayer.schema.adopt.journal import ForeignJournal
from datalayer.schema.adopt.matching import Matching
from datalayer.schema.adopt.shape import ShapeMatch
from datalayer.schema.difference import Difference
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.pending import Finding, finding

__all__ = ["about_journals", "about_order", "about_shape", "about_skipped"]

_IDS = {"missing": "DL-C020", "changed": "DL-C021", "extra": "DL-C022"}


class Stated(Protocol):
    """A file with what is known of it."""

    @property
    def state(self) -> str:
        """One of the states of FileState."""
        ...


def about_journals(
    matchings: Sequence[Matching], files: Sequence[MigrationFile], states: Mapping[str, Stated]
) -> list[Finding]:
    """Say what each journal holds that the folder does not, or has in another content."""
    left = [file for file in files if file.name not in states]
    return [
        *(each for matching in matchings for each in _about_journal(matching)),
        *(each for matching in matchings for each in _skipped(matching, left)),
        *_disagreements(matchings, files),
    ]


def about_order(files: Sequence[MigrationFile], states: Mapping[str, Stated]) -> list[Finding]:
    """Say which pending files sort before an applied one: they are applied all the same."""
    places = [place for place, file in enumerate(files) if file.name in states]
    last = places[-1] if places else -1
    return [
        finding(
            "J002",
            "warning",
            str(file.source),
            f"{file.label} is pending and sorts before the applied {files[last].label}",
            fix="it will be applied all the same; give it a later number if it relies on what came after it",
        )
        for file in files[: max(last, 0)]
        if file.name not in states
    ]


def about_shape(shape: ShapeMatch) -> list[Finding]:
    """Say where the live schema is not what the files make, and what the shape cannot tell."""
    found = [_difference(each) for each in shape.differences] if not shape.refused else []
    found += [
        finding(
            "A001",
            "warning",
            name,
            f"{name} changes no schema, so the shape cannot tell whether it ran",
            fix="look at its rows; it is taken as applied",
        )
        for name in shape.undecided
    ]
    found += [
        finding("A004", "info", name, f"{name} is Python, so what it does to the schema is not compared")
        for name in shape.not_replayed
    ]
    if shape.refused:
        message = f"the folder cannot be replayed to its end, so the schema is not compared: {shape.refused}"
        found.append(finding("A003", "warning", "", message))
    return found


def about_skipped(file: MigrationFile, journal: ForeignJournal) -> Finding:
    """Say that a file was never applied although its number is below the version of the database."""
    return finding(
        "J003",
        "error",
        str(file.source),
        f"{file.label} is pending, and {journal.tool} would never apply it: the database is at"
        f" {journal.mark}, and has nothing of what the file makes",
        fix="nothing needs to be done here: files are applied by name",
    )


def _difference(each: Difference) -> Finding:
    return {
        "id": _IDS[each.change],
        "severity": "warning",
        "table": each.table,
        "object": each.name,
        "count": 1,
        "message": str(each),
        "fix": "bring the schema to what the files make, or write the difference as a migration",
    }


def _about_journal(matching: Matching) -> Iterator[Finding]:
    origin = matching.journal.origin
    for one in matching.matches:
        if one.content == "changed":
            yield finding(
                "J001",
                "error",
                str(one.file.source),
                f"{one.file.label} is not what {matching.journal.tool} applied",
                fix="put its old text back; taken over as it is, its present text counts as applied",
            )
        elif one.form:
            message = f"{one.file.label} was applied {one.form}; it is the same otherwise"
            yield finding("J001", "info", str(one.file.source), message, fix="nothing needs to be done")
    for entry in matching.without_file:
        yield finding(
            "J004",
            "error",
            entry.name,
            f"{origin} calls {entry.name} applied, and the folder has no such file",
            fix="put the file back, or give the folder that it is in",
        )
    for note in matching.notes:
        yield finding("A003", "warning", "", note, fix="put the version files beside the folder")


def _skipped(matching: Matching, left: Sequence[MigrationFile]) -> Iterator[Finding]:
    """Give the pending files that the other tool would pass over in silence."""
    journal = matching.journal
    latest = _drizzle_mark(journal)
    for file in left:
        if latest is None or file.when is None or file.when > latest:
            continue
        yield finding(
            "J003",
            "error",
            str(file.source),
            f"{file.label} is pending, and drizzle would never apply it: its `when` {file.when} is not"
            f" above {latest}, that of the last one applied",
            fix="nothing needs to be done here: files are applied by name",
        )


def _drizzle_mark(journal: ForeignJournal) -> int | None:
    """Give the time that drizzle compares with: files of an earlier one are passed over."""
    if journal.tool != "drizzle":
        return None
    return max((entry.when for entry in journal.entries if entry.when is not None), default=None)


def _disagreements(matchings: Sequence[Matching], files: Sequence[MigrationFile]) -> Iterator[Finding]:
    """Give the files that one journal calls applied and another, which knows the folder too, does not."""
    speaking = [matching for matching in matchings if matching.matches]
    if len(speaking) < 2:
        return
    said = {matching.journal.origin: {one.file.name for one in matching.matches} for matching in speaking}
    for file in files:
        yes = [origin for origin, names in said.items() if file.name in names]
        no = [origin for origin in said if origin not in yes]
        if yes and no:
            yield finding(
                "A002",
                "warning",
                str(file.source),
                f"{file.label} is applied by {', '.join(yes)} and unknown to {', '.join(no)}",
                fix="it is taken as applied; compare the schema",
            )
