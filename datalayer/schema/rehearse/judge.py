"""What the facts of a rehearsed file mean: lost rows, lost rules, statements that failed or did nothing.

Knows no database. The rules of locks are judge_locks'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from datalayer.schema.numbered.manner import foreign_keys_wish, opening
from datalayer.schema.rehearse.facts import Facts, TableFacts
from datalayer.schema.rehearse.replay import FileRun, Ran
from datalayer.schema.tokens import Statement, fold, unquote
from datalayer.schema.validate.finding import RuleFinding, Severity

__all__ = ["judge_effects", "judge_failure", "judge_rows", "judge_rules"]

_DROP_FIX = "copy the rows before the table goes, in the same file, or delete them in a file that says so"
_CASCADE_FIX = (
    "save the rows of the child tables before and put them back after, or rebuild the children without the"
    " reference first"
)


def _finding(
    run: FileRun, ran: Ran | None, rule: str, severity: Severity, message: str, fix: str
) -> RuleFinding:
    return RuleFinding(rule, severity, str(run.file.source), ran.line if ran else 1, message, fix)


# -- rows ----------------------------------------------------------------------------------------


def judge_rows(run: FileRun) -> Iterator[RuleFinding]:
    """Find rows that were lost with a table or by a cascade (D001, D002), and references to nothing."""
    if run.failed:
        return
    yield from _ignored_pragmas(run)
    dropped = {fold(name): ran for ran in run.ran for name in _dropped(ran)}
    lost = {
        name: (count, run.after.counts.get(name))
        for name, count in run.before.counts.items()
        if count > (run.after.counts.get(name) or 0)
    }
    for name, (before, after) in lost.items():
        if fold(name) in dropped:
            yield from _lost_with_table(run, dropped[fold(name)], name, before, after)
        elif after is not None:
            yield from _lost_behind_the_back(run, name, before, after)
    yield from _emptied_links(run)
    yield from _left_behind(run)


def _pragma_line(run: FileRun) -> Ran | None:
    """Give the PRAGMA that was to turn foreign keys off and was ignored."""
    for ran in run.ran:
        if ran.statement is None or ran.was_passed_over:
            continue
        if foreign_keys_wish([ran.statement]) is False:
            return ran
    return None


def _ignored_pragmas(run: FileRun) -> Iterator[RuleFinding]:
    ran = _pragma_line(run)
    losses = [
        f"{name} ({count - run.after.counts[name]} of {count} rows)"
        for name, count in run.before.counts.items()
        if name in run.after.counts and run.after.counts[name] < count and _first_loss(run, name) is not None
    ]
    losses += [
        f"{link} ({count - run.after.links[link]} of {count} references)"
        for link, count in run.before.links.items()
        if run.after.links.get(link, count) < count and link.partition(".")[0] in run.after.tables
    ]
    if ran is None or not run.has_foreign_keys:
        return
    if losses:
        text = "foreign_keys cannot be turned off in a transaction, so dropping a table reached"
        text = f"{text} {', '.join(losses)}"
        yield _finding(run, ran, "D001", "error", text, _CASCADE_FIX)
    else:
        text = "PRAGMA foreign_keys is ignored inside a transaction; nothing was lost with these rows"
        yield _finding(
            run, ran, "D001", "warning", text, "leave it out: the tool runs the file in a transaction"
        )


def _lost_with_table(
    run: FileRun, ran: Ran, name: str, before: int, after: int | None
) -> Iterator[RuleFinding]:
    if after is None and _was_copied(run, name, before):
        return
    if after is None:
        text = f"DROP TABLE {name} takes its {before} rows with it, and nothing copies them"
    else:
        text = f"{name} is made anew with {after} of its {before} rows"
    yield _finding(run, ran, "D002", "error", text, _DROP_FIX)


def _was_copied(run: FileRun, name: str, count: int) -> bool:
    """Say whether a statement that names the table gave another one as many rows."""
    for ran in run.ran:
        if ran.statement is None or fold(name) not in _names(ran.statement):
            continue
        for other, after in ran.after.counts.items():
            gained = after - ran.before.counts.get(other, 0)
            if fold(other) != fold(name) and gained >= count:
                return True
    return False


def _first_loss(run: FileRun, name: str) -> Ran | None:
    """Give the statement that took rows from a table without naming it."""
    for ran in run.ran:
        before, after = ran.before.counts.get(name), ran.after.counts.get(name)
        if before is None or after is None or after >= before:
            continue
        if ran.statement is None or fold(name) not in _names(ran.statement):
            return ran
    return None


def _lost_behind_the_back(run: FileRun, name: str, before: int, after: int) -> Iterator[RuleFinding]:
    ran = _first_loss(run, name)
    if ran is None or ran.statement is None:
        return
    is_drop = ran.statement.verb in ("DROP", "ALTER")
    text = f"{opening(ran.statement)} also took {before - after} of the {before} rows of {name}, by a cascade"
    text += "" if is_drop else " or a trigger"
    yield _finding(run, ran, "D002", "error" if is_drop else "warning", text, _CASCADE_FIX)


def _emptied_links(run: FileRun) -> Iterator[RuleFinding]:
    for link, before in run.before.links.items():
        after = run.after.links.get(link)
        table = link.partition(".")[0]
        if (
            after is None
            or after >= before
            or run.after.counts.get(table, 0) < run.before.counts.get(table, 0)
        ):
            continue
        for ran in run.ran:
            if ran.statement is None or ran.after.links.get(link, before) >= ran.before.links.get(
                link, before
            ):
                continue
            if fold(table) not in _names(ran.statement):
                text = f"{opening(ran.statement)} emptied the reference of {before - after} rows: {link}"
                severity: Severity = "error" if ran.statement.verb == "DROP" else "warning"
                yield _finding(run, ran, "D002", severity, text, _CASCADE_FIX)
                break


def _left_behind(run: FileRun) -> Iterator[RuleFinding]:
    broken = run.after.broken - run.before.broken
    gone = {fold(name) for name in run.before.tables if name not in run.after.tables}
    orphans = [
        (name, parent)
        for name, table in run.after.tables.items()
        for parent in table.parents
        if fold(parent) in gone and all(fold(one) != fold(parent) for one in run.after.tables)
    ]
    for name, parent in orphans:
        ran = next((one for one in run.ran if fold(parent) in map(fold, _dropped(one))), None)
        text = f"{name} still refers to {parent}, which is gone"
        yield _finding(run, ran, "X003", "error", text, "drop or change the reference in the same file")
    if broken > 0 and not orphans:
        last = next((one for one in reversed(run.ran) if one.after.broken > one.before.broken), None)
        text = f"{broken} references lead nowhere after the file"
        yield _finding(run, last, "D002", "error", text, "keep the rows that are referred to")


def _dropped(ran: Ran) -> list[str]:
    """Give the tables that a statement dropped: those of its before that it names and that are gone."""
    if ran.statement is None or ran.statement.verb != "DROP" or ran.error is not None:
        return []
    return [name for name in ran.before.tables if name not in ran.after.tables]


def _names(statement: Statement) -> frozenset[str]:
    return frozenset(
        fold(unquote(token)) for token in statement.tokens if token.kind in ("word", "identifier", "string")
    )


# -- rules of a table that is made anew ----------------------------------------------------------


def judge_rules(run: FileRun) -> Iterator[RuleFinding]:
    """Find what a table lost when it was dropped and made anew in one file (F001 to F006)."""
    if run.failed:
        return
    named = {name for ran in run.ran if ran.statement for name in _named_drops(ran.statement)}
    for ran in run.ran:
        for name in _dropped(ran):
            then, now = run.before.tables.get(name), _again(run.after, name)
            if then is not None and now is not None:
                yield from _lost_rules(run, ran, name, (then, now), named)


def _again(facts: Facts, name: str) -> TableFacts | None:
    return next((table for other, table in facts.tables.items() if fold(other) == fold(name)), None)


def _named_drops(statement: Statement) -> frozenset[str]:
    """Give the names of an index or trigger that a statement drops by name."""
    words = [token.upper for token in statement.tokens[:2]]
    is_named = words in (["DROP", "INDEX"], ["DROP", "TRIGGER"])
    return _names(statement) if is_named else frozenset()


def _lost_rules(
    run: FileRun, ran: Ran, table: str, pair: tuple[TableFacts, TableFacts], named: set[str]
) -> Iterator[RuleFinding]:
    then, now = pair
    fix = "make it again in the same file, or drop it by name so that it is meant"
    for rule, kind, mine, theirs in (
        ("F001", "index", then.indexes, now.indexes),
        ("F001", "trigger", then.triggers, now.triggers),
        ("F002", "unique key", then.uniques, now.uniques),
        ("F003", "check", then.checks, now.checks),
        ("F005", "reference", then.references, now.references),
    ):
        for name in _missing(mine, theirs):
            if fold(name) not in named:
                text = f"{table} is made anew without its {kind} {name}"
                yield _finding(run, ran, rule, "error", text, fix)
    for name, (kind, is_not_null, default) in then.columns.items():
        other = next((value for key, value in now.columns.items() if fold(key) == fold(name)), None)
        if other is None:
            text = f"{table} is made anew without its column {name}"
            yield _finding(run, ran, "F006", "error", text, "copy the column, or drop it by ALTER TABLE")
            continue
        if is_not_null and not other[1]:
            yield _finding(run, ran, "F004", "error", f"{table}.{name} is no longer NOT NULL", fix)
        if (kind, default) != (other[0], other[2]):
            text = f"{table}.{name} is {_column(other)} now, and was {_column((kind, is_not_null, default))}"
            yield _finding(
                run, ran, "F006", "warning", text, "keep the type and the default if they are not meant"
            )


def _column(column: tuple[str, bool, str]) -> str:
    return f"{column[0] or 'without type'}{f' DEFAULT {column[2]}' if column[2] else ''}"


def _missing(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Give what is there under no name: neither its own nor another with the same meaning."""
    names, meanings = {fold(name) for name in theirs}, set(theirs.values())
    return [name for name, meaning in mine.items() if fold(name) not in names and meaning not in meanings]


# -- effects -------------------------------------------------------------------------------------

_NO_OPS: Mapping[str, tuple[str, Severity, str, str]] = {
    "differs": (
        "N001",
        "error",
        "did nothing: another one is there, and it differs",
        "change what is there instead",
    ),
    "same": ("N002", "info", "did nothing: it is there, and is the same", "remove it, or leave it"),
    "invalid": (
        "N003",
        "error",
        "did nothing: the index is there and invalid",
        "drop it, then make it again",
    ),
    "beyond": (
        "beyond",
        "info",
        "was left out: it would reach beyond the copy",
        "look at it yourself: roles, other databases and files of the server are not rehearsed",
    ),
    "absent": ("N005", "info", "did nothing: there is none", "remove it if that is as it should be"),
}


def judge_effects(run: FileRun) -> Iterator[RuleFinding]:
    """Find statements and files that did nothing (N001 to N005)."""
    for ran in run.ran:
        if ran.no_op and ran.statement and ran.error is None:
            rule, severity, words, fix = _NO_OPS[ran.no_op]
            yield _finding(run, ran, rule, severity, f"{opening(ran.statement)} {words}", fix)
    if run.failed is None and run.file.kind == "sql" and not any(map(_did_something, run.ran)):
        text = f"{run.file.label} changes nothing"
        yield _finding(run, None, "N004", "warning", text, "remove it before it is applied")


def _did_something(ran: Ran) -> bool:
    if ran.no_op == "beyond":
        return True
    if ran.statement is None or ran.was_passed_over or ran.no_op:
        return False
    if ran.statement.verb in ("SELECT", "PRAGMA", "SET", "EXPLAIN", "SHOW", "BEGIN", "COMMIT"):
        return ran.before.other != ran.after.other
    return ran.before is not ran.after


# -- failures ------------------------------------------------------------------------------------

_UNKNOWN = re.compile(
    r"no such (?:table|column): (?P<sqlite>\S+)|(?:relation|column) (?P<postgres>\S+) .*does not exist"
)


def judge_failure(run: FileRun, *, passes_when_empty: bool) -> Iterator[RuleFinding]:
    """Say why a file failed: only with rows (D003), by an unknown name (X001), or otherwise."""
    ran = run.failed
    if ran is None:
        return
    said = (
        f"{opening(ran.statement)} failed: {ran.error}" if ran.statement else f"up(store) failed: {ran.error}"
    )
    if ran.code in ("T001", "D005"):
        rule = ran.code
        yield _finding(run, ran, rule, "error", said, "leave it to the tool that runs the file")
    elif ran.code == "25001":
        fix = "put it into a file of its own, or run it with a tool that knows"
        yield _finding(run, ran, "L006", "error", said, fix)
    elif passes_when_empty:
        fix = "give the column a constant default, or correct the rows in an earlier statement"
        yield _finding(run, ran, "D003", "error", f"{said} (it works on an empty table only)", fix)
    elif found := _UNKNOWN.search(ran.error or ""):
        name = (found["sqlite"] or found["postgres"]).strip('"')
        yield _finding(run, ran, "X001", "error", said, _nearest(ran.before, name))
    else:
        yield _finding(run, ran, "failed", "error", said, "correct the file")


def _nearest(facts: Facts, name: str) -> str:
    bare = name.rpartition(".")[2]
    known = [*facts.tables, *(column for table in facts.tables.values() for column in table.columns)]
    by_case = {fold(one): one for one in known}
    near = [by_case[one] for one in get_close_matches(fold(bare), by_case, n=1)]
    return f"did you mean {near[0]}?" if near else "correct the name"
