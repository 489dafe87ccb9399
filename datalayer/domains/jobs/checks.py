"""What must hold of jobs beyond their columns' types, for `check-db`; told also where a rule is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datalayer.domains.jobs.repository import Jobs
from datalayer.engine.connection import Engine
from datalayer.schema.check.rule import Rule
from datalayer.schema.finding import Finding, Repair, Severity

__all__ = ["CHECKS", "INSPECTIONS", "response_files"]

_TABLE = "background_jobs"
_FINAL = "('completed', 'failed', 'canceled')"
_ACTIVE = "('acknowledged_by_worker', 'preparing', 'running')"

CHECKS = {
    "DL-C211": Rule(
        "SELECT id, status, end_time FROM background_jobs"
        f" WHERE (status IN {_FINAL}) <> (end_time IS NOT NULL)",
        "{count} jobs are final without an end, or have an end and are not final",
        table=_TABLE,
    ),
    "DL-C212": Rule(
        "SELECT id, status, lease_owner, lease_expires_at FROM background_jobs"
        " WHERE (lease_owner IS NULL) <> (lease_expires_at IS NULL)"
        f" OR (status IN {_ACTIVE}) <> (lease_owner IS NOT NULL)",
        "{count} jobs are with a worker without a whole lease, or have a lease and are with none",
        table=_TABLE,
    ),
    "DL-C213": Rule(
        "SELECT id, lease_owner, lease_expires_at FROM background_jobs WHERE lease_expires_at <= {now}",
        "{count} jobs have a lease that ran out: the next worker takes them over",
        severity="info",
        table=_TABLE,
        repair="none",
    ),
    "DL-C214": Rule(
        "SELECT id, attempt, max_attempts FROM background_jobs WHERE attempt < 0 OR attempt > max_attempts",
        "{count} jobs were tried more often than they may be",
        table=_TABLE,
    ),
    "DL-C215": Rule(
        "SELECT id, start_time, end_time FROM background_jobs WHERE end_time < start_time",
        "{count} jobs ended before they began: a clock was set back",
        severity="info",
        table=_TABLE,
        repair="none",
    ),
    "DL-C216": Rule(
        "SELECT id, output_file_path FROM background_jobs"
        " WHERE response IS NOT NULL AND output_file_path IS NOT NULL",
        "{count} jobs have a response and a response file",
        table=_TABLE,
    ),
}

_FILES: dict[str, tuple[str, Severity, str, Repair]] = {
    "orphan": ("DL-C060", "warning", "no job refers to the response file {path}", "automatic"),
    "missing": ("DL-C061", "error", "the response file {path} is gone", "none"),
    "short": ("DL-C062", "error", "the response file {path} was cut short", "none"),
}


def response_files(engine: Engine, data_dir: Path | None) -> Iterator[Finding]:
    """Find what is wrong between jobs and the files of their responses; reads the table once."""
    for problem in Jobs(engine, data_dir=data_dir).check_files():
        number, severity, message, repair = _FILES[problem.kind]
        told = message.format(path=problem.path)
        yield Finding(number, severity, _TABLE, problem.job_id, 1, told, repair)


INSPECTIONS = (response_files,)
