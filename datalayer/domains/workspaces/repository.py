"""The repository of workspaces, with those of what belongs to them as its attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datalayer.domains.workspaces.administration import AdminUsers, AuditTrail
from datalayer.domains.workspaces.ai_costs import AiCosts
from datalayer.domains.workspaces.ai_providers import AiProviderKeys, AiProviders
from datalayer.domains.workspaces.events import Events
from datalayer.domains.workspaces.imports import Imports
from datalayer.domains.workspaces.inbox import Inbox
from datalayer.domains.workspaces.invites import Invites
from datalayer.domains.workspaces.lists import Lists
from datalayer.domains.workspaces.members import Members
from datalayer.domains.workspaces.messages import Messages
from datalayer.domains.workspaces.model import Workspace, WorkspaceMember
from datalayer.domains.workspaces.relationships import Relationships
from datalayer.domains.workspaces.rooms import Rooms
from datalayer.domains.workspaces.settings import Settings
from datalayer.domains.workspaces.summaries import DailySummaries
from datalayer.domains.workspaces.threads import Threads
from datalayer.domains.workspaces.work_items import WorkItems
from datalayer.engine.connection import Engine
from datalayer.repository.base import Repository
from datalayer.repository.page import Page

__all__ = ["Workspaces"]


class Workspaces(Repository[Workspace]):
    """`store.workspaces`: workspaces, and what belongs to them (`store.workspaces.threads`, ...).

    team = store.workspaces.create("Harbour", owner_id=ann)
    store.workspaces.members.join(team.id, ben)
    room = store.workspaces.rooms.create(team.id, "Repairs", user_id=ann)
    """

    def __init__(
        self, engine: Engine, model: type[Workspace] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.members = Members(engine)
        self.rooms = Rooms(engine)
        self.work_items = WorkItems(engine)
        self.inbox = Inbox(engine)
        self.relationships = Relationships(engine)
        self.invites = Invites(engine)
        self.threads = Threads(engine, invites=self.invites)
        self.messages = Messages(engine)
        self.lists = Lists(engine)
        self.events = Events(engine)
        self.admins = AdminUsers(engine)
        self.audit = AuditTrail(engine)
        self.settings = Settings(engine)
        self.ai_costs = AiCosts(engine, settings=self.settings)
        self.ai_providers = AiProviders(engine)
        self.ai_provider_keys = AiProviderKeys(engine)
        self.daily_summaries = DailySummaries(engine)
        self.imports = Imports(engine)

    def create(self, name: str, *, owner_id: str, description: str = "") -> Workspace:
        """Make a workspace with its first owner; one transaction.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: the name is empty.
        """
        with self.engine.transaction():
            workspace = self.add(name=name, description=description, created_by=owner_id)
            self.members.join(workspace.id, owner_id, "owner")
            return workspace

    def get_for(self, user_id: str, workspace_id: str) -> Workspace:
        """Give a workspace that the user is in.

        Raises:
            NotFound: there is none, or the user is not in it.
        """
        return self.one(_entered_by(user_id), id=workspace_id)

    def page_for(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[Workspace]:
        """Give one page of the workspaces that the user is in, the newest first."""
        return self.page(_entered_by(user_id), order_by="-id", size=size, after=after)


def _entered_by(user_id: str) -> Any:
    """Give the condition that a user is in the workspace; Peewee's expressions are untyped."""
    theirs = WorkspaceMember.select(WorkspaceMember.workspace_id).where(WorkspaceMember.user_id == user_id)
    return Workspace.id.in_(theirs)
