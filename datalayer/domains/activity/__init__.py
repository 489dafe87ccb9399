"""Activity: what users did, and an archive that does not know who they were.

Users appear by their id. Knows no other domain.
"""

from datalayer.domains.activity.checks import CHECKS
from datalayer.domains.activity.model import ActivityEntry, ArchivedActivity
from datalayer.domains.activity.repository import Activity, Archive

__all__ = ["CHECKS", "Activity", "ActivityEntry", "Archive", "ArchivedActivity"]
