"""Onboarding: one course of questions for each sandbox."""

from __future__ import annotations

from typing import Any, Unpack

from datalayer.domains.sandboxes.model import OnboardingChanges, OnboardingSession, Sandbox
from datalayer.errors import ForeignKeyViolation
from datalayer.repository.owned import Owned, not_found

__all__ = ["OnboardingSessions"]

_DONE = ("completed", "skipped")


class OnboardingSessions(Owned[OnboardingSession]):
    """`store.sandboxes.onboarding`: at most one for each sandbox, a rule of the database."""

    def begin(self, sandbox_id: str, *, user_id: str) -> OnboardingSession:
        """Give the onboarding of a sandbox, which is made where there is none.

        Raises:
            NotFound: there is no such sandbox, or it is another user's.
        """
        if not self.sibling(Sandbox).exists(id=sandbox_id, user_id=user_id):
            raise not_found("Sandbox", sandbox_id)
        try:
            while True:
                found = self.one_or_none(sandbox_id=sandbox_id, user_id=user_id)
                values = {"sandbox_id": sandbox_id, "user_id": user_id}
                found = found or self.add_unless(("sandbox_id",), values)
                if found is not None:
                    return found
        except ForeignKeyViolation as exc:
            raise not_found("Sandbox", sandbox_id) from exc

    def edit(self, key: str, *, user_id: str, **changes: Unpack[OnboardingChanges]) -> OnboardingSession:
        """Change what is given, and give it; the time of its end follows the status.

        Raises:
            NotFound: there is none, or it is another user's.
            CheckViolation: the status is unknown, or there is an error message though it did not fail.
        """
        values: dict[str, Any] = {**changes}
        if "status" in changes:
            values["completed_at"] = self.engine.clock() if changes["status"] in _DONE else None
            values.setdefault("error_message", None)
        return self._edit(key, user_id, values)
