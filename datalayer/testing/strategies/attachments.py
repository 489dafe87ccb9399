"""Attachments and what they hold, as the database accepts them."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from datalayer.domains.attachments import Attachment, AttachmentContent
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = ["attachment_contents", "attachments", "make_attachment"]


@st.composite
def attachment_contents(draw: st.DrawFn) -> AttachmentContent:
    """Give contents that nothing is attached to yet; there is no file of them."""
    data = draw(st.binary(max_size=50))
    return AttachmentContent(
        sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), created_at=draw(moments())
    )


@st.composite
def attachments(draw: st.DrawFn, *, user_id: str, sha256: str) -> Attachment:
    """Give attachments of a content that is there, to a draft or to nothing."""
    owner = draw(st.none() | st.just(("draft", "1")))
    return Attachment(
        id=new_id(),
        user_id=user_id,
        owner_type=owner[0] if owner else None,
        owner_id=owner[1] if owner else None,
        name=draw(texts(min_size=1)),
        media_type=draw(st.sampled_from(["text/plain", "image/png"])),
        sha256=sha256,
        metadata=draw(st.dictionaries(texts(max_size=10), json_documents(), max_size=2)),
    )


def make_attachment(
    store: Store, *, user_id: str, name: str = "note.txt", content: bytes = b"A note."
) -> Attachment:
    """Attach a small content, file and all."""
    return store.attachments.attach(user_id, name, content)
