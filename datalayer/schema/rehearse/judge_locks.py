"""What the locks, rewrites and scans of a rehearsed file mean for a PostgreSQL database in use.

Knows no database. Classes: https://www.postgresql.org/docs/current/explicit-locking.html
"""

from __future__ import annotations

from collections.abc import Iterator

from datalayer.schema.numbered.manner import opening
from datalayer.schema.rehearse.replay import FileRun, Ran
from datalayer.schema.rehearse.watch import names_in
from datalayer.schema.validate.finding import RuleFinding, Severity

__all__ = ["judge_locks", "locks_of", "rewrites_of", "scans_of"]

# from the weakest to the strongest
_MODES = (
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_STRONG = _MODES[3:]
_MOVES = ("TRUNCATE", "DROP")


def locks_of(run: FileRun, ran: Ran) -> tuple[tuple[str, str], ...]:
    """Give the locks that a statement took as (table, mode).

    The strongest on each table that was there before the file, unless one as strong is held already.
    """
    held = dict(sorted(ran.before.locks, key=lambda lock: _strength(lock[1])))
    strongest: dict[str, str] = {}
    for table, mode in sorted(ran.after.locks - ran.before.locks, key=lambda lock: _strength(lock[1])):
        if table in run.before.tables and _strength(mode) > _strength(held.get(table, "")):
            strongest[table] = mode
    return tuple(sorted(strongest.items()))


def _strength(mode: str) -> int:
    return _MODES.index(mode) if mode in _MODES else -1


def rewrites_of(run: FileRun, ran: Ran) -> tuple[str, ...]:
    """Give the tables that a statement wrote anew: by the server's words, or a file that is another one."""
    said = {name for notice in ran.said if notice.startswith("rewriting table") for name in names_in(notice)}
    if ran.statement is not None and ran.statement.verb not in _MOVES:
        said |= {
            name for name, number in ran.before.files.items() if ran.after.files.get(name, number) != number
        }
    return tuple(sorted(said & set(run.before.tables)))


def scans_of(run: FileRun, ran: Ran) -> tuple[str, ...]:
    """Give the tables that a statement read whole.

    That of a foreign key which is new or proved is among them, though the server says nothing of it.
    """
    said = {name for notice in ran.said if notice.startswith("verifying table") for name in names_in(notice)}
    said |= {
        table for table, name in _new_rules(ran, "references") if f"{table}.{name}" not in ran.after.unproven
    }
    said |= {rule.partition(".")[0] for rule in ran.before.unproven - ran.after.unproven}
    return tuple(sorted(said & set(run.before.tables)))


def judge_locks(run: FileRun) -> Iterator[RuleFinding]:
    """Find what stops readers or writers for longer than a moment."""
    is_told = False
    for ran in run.ran:
        if ran.statement is None or ran.error is not None:
            continue
        strong = [lock for lock in locks_of(run, ran) if lock[1] in _STRONG]
        if strong and not is_told and ran.before.lock_timeout in ("0", ""):
            is_told = True
            table, mode = strong[0]
            text = f"{opening(ran.statement)} waits for {mode} on {table} without lock_timeout,"
            text += " and all who come later behind it"
            yield _finding(
                run, ran, "L001", "warning", text, "SET LOCAL lock_timeout = '2s' first, and try again"
            )
        yield from _of_statement(run, ran, strong)


def _of_statement(run: FileRun, ran: Ran, strong: list[tuple[str, str]]) -> Iterator[RuleFinding]:
    if ran.statement is None:
        return
    rewritten = rewrites_of(run, ran)
    words = opening(ran.statement)
    for table in rewritten:
        yield _rewrite(run, ran, table)
    if ran.statement.verb == "CREATE" and _indexes(ran, run):
        found = {table for table, mode in strong if mode == "ShareLock"}
        # a stronger lock of an earlier statement is held until it is done as well
        found |= {table for table, _ in _new_rules(ran, "indexes") if _is_locked(ran, table)}
        tables = ", ".join(sorted(found & set(run.before.tables)))
        if tables:
            fix = "CREATE INDEX CONCURRENTLY, in a file of its own"
            yield _finding(
                run, ran, "L002", "warning", f"{words} stops writes to {tables} until it is done", fix
            )
    scanned = [table for table in scans_of(run, ran) if table not in rewritten]
    new = [(table, name) for kind in ("references", "checks") for table, name in _new_rules(ran, kind)]
    proven = [(table, name) for table, name in new if table in scanned]
    for table, name in proven:
        fix = "add it NOT VALID, then VALIDATE CONSTRAINT in a later file"
        yield _finding(
            run, ran, "L003", "warning", f"{words} reads all of {table} under a lock to prove {name}", fix
        )
    if not proven and scanned and _became_not_null(ran):
        fix = "add CHECK (... IS NOT NULL) NOT VALID, validate it, then SET NOT NULL"
        yield _finding(
            run, ran, "L004", "warning", f"{words} reads all of {', '.join(scanned)} under a lock", fix
        )
    for rule in sorted((ran.before.unproven - ran.after.unproven) - run.before.unproven):
        table = rule.partition(".")[0]
        if _is_locked(ran, table):
            fix = "validate it in a file of its own"
            text = f"{rule} is validated under the lock that adding it took"
            yield _finding(run, ran, "L007", "warning", text, fix)


def _rewrite(run: FileRun, ran: Ran, table: str) -> RuleFinding:
    then, now = ran.before.tables.get(table), ran.after.tables.get(table)
    rule, fix = "L005", "change it by a new column that is filled in batches"
    what = "writes the whole table anew under ACCESS EXCLUSIVE"
    if then is not None and now is not None:
        if set(now.columns) - set(then.columns) and not _computes(ran):
            rule, what = "L008", "writes the whole table anew for a default that differs from row to row"
            fix = "add the column without it, SET DEFAULT, then fill it in batches"
        elif any(
            then.columns[name][0] != column[0] for name, column in now.columns.items() if name in then.columns
        ):
            rule, what = "L009", "writes the whole table anew for the type"
            fix = "add a column of the new type, fill it in batches, then swap the two"
    count = ran.before.counts.get(table, 0)
    text = f"{opening(ran.statement) if ran.statement else 'up(store)'} {what}: {table}, {count} rows here"
    return _finding(run, ran, rule, "warning", text, fix)


def _computes(ran: Ran) -> bool:
    words = {token.upper for token in ran.statement.tokens} if ran.statement else set[str]()
    return bool(words & {"GENERATED", "SERIAL", "BIGSERIAL", "SMALLSERIAL"})


def _new_rules(ran: Ran, kind: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for table, now in ran.after.tables.items():
        then = ran.before.tables.get(table)
        if then is not None:
            mine: dict[str, str] = dict(getattr(then, kind))
            found += [(table, name) for name in getattr(now, kind) if name not in mine]
    return found


def _indexes(ran: Ran, run: FileRun) -> bool:
    return any(table in run.before.tables for table, _ in _new_rules(ran, "indexes"))


def _became_not_null(ran: Ran) -> bool:
    return any(
        column[1] and not then.columns[name][1]
        for table, now in ran.after.tables.items()
        if (then := ran.before.tables.get(table)) is not None
        for name, column in now.columns.items()
        if name in then.columns
    )


def _is_locked(ran: Ran, table: str) -> bool:
    """Say whether the lock of an earlier statement of the file is still held."""
    return any(lock[0] == table and lock[1] in _STRONG for lock in ran.before.locks)


def _finding(run: FileRun, ran: Ran, rule: str, severity: Severity, message: str, fix: str) -> RuleFinding:
    return RuleFinding(rule, severity, str(run.file.source), ran.line, message, fix)
