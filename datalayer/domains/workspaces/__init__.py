"""Workspaces: people who work together, with rooms, tasks, an inbox, relationships, threads and invites.

Knows no other domain; users appear as plain ids.
"""

from datalayer.domains.workspaces.checks import CHECKS
from datalayer.domains.workspaces.model import Workspace
from datalayer.domains.workspaces.repository import Workspaces

__all__ = [
    "CHECKS",
    "Workspace",
    "Workspaces",
]
