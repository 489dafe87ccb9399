"""Attachments: files that belong to rows of any table, each content kept once.

Knows no other domain.
"""

from datalayer.domains.attachments.checks import CHECKS, INSPECTIONS
from datalayer.domains.attachments.model import Attachment, AttachmentContent, Collected
from datalayer.domains.attachments.repository import Attachments

__all__ = ["CHECKS", "INSPECTIONS", "Attachment", "AttachmentContent", "Attachments", "Collected"]
