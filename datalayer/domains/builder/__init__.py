"""Builder: what users build in chats, as threads with their messages and files.

Knows no other domain; a user is a plain id.
"""

from datalayer.domains.builder.checks import CHECKS
from datalayer.domains.builder.model import BuilderFile, BuilderMessage, BuilderThread
from datalayer.domains.builder.repository import Builder

__all__ = ["CHECKS", "Builder", "BuilderFile", "BuilderMessage", "BuilderThread"]
