"""Sessions: what a user works on in a project, with the files taken in and left out.

Knows no other domain.
"""

from datalayer.domains.sessions.checks import CHECKS, INSPECTIONS
from datalayer.domains.sessions.model import ExcludedFile, IncludedFile, Session, SessionFiles
from datalayer.domains.sessions.repository import Sessions

__all__ = [
    "CHECKS",
    "INSPECTIONS",
    "ExcludedFile",
    "IncludedFile",
    "Session",
    "SessionFiles",
    "Sessions",
]
