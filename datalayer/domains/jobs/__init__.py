"""Jobs: a queue in the database, with leases, streamed responses and workers."""

from datalayer.domains.jobs.checks import CHECKS, INSPECTIONS
from datalayer.domains.jobs.model import Backoff, FileProblem, Job, JobOptions, JobStats, NewJob
from datalayer.domains.jobs.processes import load_worker, run_processes
from datalayer.domains.jobs.repository import Jobs
from datalayer.domains.jobs.worker import JobContext, Worker

__all__ = [
    "CHECKS",
    "INSPECTIONS",
    "Backoff",
    "FileProblem",
    "Job",
    "JobContext",
    "JobOptions",
    "JobStats",
    "Jobs",
    "NewJob",
    "Worker",
    "load_worker",
    "run_processes",
]
