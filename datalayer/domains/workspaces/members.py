"""The members of workspaces and their roles."""

from __future__ import annotations

from datalayer.domains.workspaces.model import WorkspaceMember, WorkspaceRole
from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.page import Page

__all__ = ["Members"]


class Members(Repository[WorkspaceMember]):
    """`store.workspaces.members`: who is in which workspace, as owner, admin, member or guest.

    That the last owner stays is a rule of the database. Where the last owner's user is deleted, the admin who
    has been there longest becomes owner, without one the member, without one the guest.
    """

    def join(self, workspace_id: str, user_id: str, role: WorkspaceRole = "member") -> WorkspaceMember:
        """Add a user to a workspace and give the membership.

        Raises:
            UniqueViolation: the user is in it already.
            ForeignKeyViolation: there is no such workspace, or no such user.
        """
        return self.add(workspace_id=workspace_id, user_id=user_id, role=role)

    def role_of(self, workspace_id: str, user_id: str) -> str | None:
        """Give a user's role in a workspace; None for one who is not in it."""
        found = self.one_or_none(workspace_id=workspace_id, user_id=user_id)
        return None if found is None else found.role

    def set_role(self, workspace_id: str, user_id: str, role: WorkspaceRole) -> None:
        """Give a member another role.

        Raises:
            NotFound: the user is not in the workspace.
            CheckViolation: the last owner would step down (`workspace_members_last_owner`).
        """
        if not self.update_where(workspace_id=workspace_id, user_id=user_id, changes={"role": role}):
            raise _not_in(workspace_id, user_id)

    def leave(self, workspace_id: str, user_id: str) -> None:
        """Take a user out of a workspace and its rooms.

        Raises:
            NotFound: the user is not in it.
            CheckViolation: it is the last owner (`workspace_members_last_owner`).
        """
        if not self.delete_where(workspace_id=workspace_id, user_id=user_id):
            raise _not_in(workspace_id, user_id)

    def transfer(self, workspace_id: str, user_id: str, to_user_id: str) -> None:
        """Make another member an owner in the place of this one, who stays as admin; one transaction.

        Raises:
            NotFound: one of them is not in the workspace, or `user_id` does not own it.
        """
        with self.engine.transaction():
            if (
                self.for_update().one_or_none(workspace_id=workspace_id, user_id=user_id, role="owner")
                is None
            ):
                raise NotFound(f"user {user_id!r} does not own workspace {workspace_id!r}")
            self.set_role(workspace_id, to_user_id, "owner")
            if to_user_id != user_id:
                self.set_role(workspace_id, user_id, "admin")

    def page_of(
        self, workspace_id: str, *, size: int = 50, after: str | None = None
    ) -> Page[WorkspaceMember]:
        """Give one page of a workspace's members, the newest first."""
        return self.page(workspace_id=workspace_id, order_by="-id", size=size, after=after)


def _not_in(workspace_id: str, user_id: str) -> NotFound:
    return NotFound(f"user {user_id!r} is not in workspace {workspace_id!r}")
