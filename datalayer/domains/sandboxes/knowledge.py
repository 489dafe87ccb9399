"""Knowledge documents: what users keep for their sandboxes, with an embedding for finding by meaning.

Searching is repository.search's; here documents are written, and embeddings come and go with the content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import peewee

from datalayer.errors import DataLayerError, StaleVersion
from datalayer.repository.embedding import EmbeddingField, encode_embedding
from datalayer.repository.fields import IdField, JSONField
from datalayer.repository.mixins import Timestamps
from datalayer.repository.owned import Owned

__all__ = ["DocumentChanges", "KnowledgeDocument", "KnowledgeDocuments"]


class KnowledgeDocument(Timestamps):
    """A text of a user, with `tags`, a list.

    `version` is raised by the database with each change of the content, and the embedding of the content
    before goes with it.
    """

    id = IdField()
    user_id = peewee.TextField()
    category = peewee.TextField()
    title = peewee.TextField(default="")
    content = peewee.TextField()
    tags = JSONField(default=list)
    version = peewee.IntegerField(default=1)
    embedding = EmbeddingField(null=True)
    embedding_dimensions = peewee.IntegerField(null=True)
    embedding_model = peewee.TextField(null=True)
    embedding_status = peewee.TextField(default="pending")
    embedding_error = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "knowledge_documents"


class DocumentChanges(TypedDict, total=False):
    """What a user may change of a document."""

    category: str
    title: str
    content: str
    tags: Sequence[str]


class KnowledgeDocuments(Owned[KnowledgeDocument]):
    """`store.sandboxes.knowledge`: the documents of each user.

    An embedding is made elsewhere: take documents from `to_embed`, `start_embedding` each, and give what came
    of it to `set_embedding` or `fail_embedding` with the version it was made of.
    """

    def create(
        self, user_id: str, category: str, content: str, *, title: str = "", tags: Sequence[str] = ()
    ) -> KnowledgeDocument:
        """Add a document and give it; its embedding is pending.

        Raises:
            CheckViolation: the category is empty.
            ForeignKeyViolation: there is no such user.
        """
        return self.add(user_id=user_id, category=category, content=content, title=title, tags=list(tags))

    def edit(self, key: str, *, user_id: str, **changes: Unpack[DocumentChanges]) -> KnowledgeDocument:
        """Change what is given of a user's document, and give it.

        Another content raises the version and makes the embedding pending again.

        Raises:
            NotFound: there is none, or it is another user's.
            CheckViolation: the category is empty.
        """
        return self._edit(key, user_id, changes)

    def to_embed(self, *, limit: int = 100) -> list[KnowledgeDocument]:
        """Give documents of all users whose embedding is pending, oldest first."""
        return self.find(embedding_status="pending", order_by="id", limit=limit)

    def start_embedding(self, key: str, *, version: int) -> bool:
        """Mark that an embedding of this version is being made; False where it is not pending any more.

        Of several who try at once, one is given True.
        """
        changes = {"embedding_status": "processing"}
        return self.update_where(id=key, version=version, embedding_status="pending", changes=changes) > 0

    def set_embedding(
        self, key: str, vector: Sequence[float], *, version: int, model: str | None = None
    ) -> None:
        """Store the embedding of this version of a document, which is ready then.

        Raises:
            StaleVersion: the content is another one by now; nothing was written.
            NotFound: there is no such document.
            CheckViolation: no vector, or numbers that 32 bits do not hold.
        """
        stored = encode_embedding(vector)
        self._set(
            key,
            version,
            {
                "embedding": stored,
                "embedding_dimensions": len(stored) // 4,
                "embedding_model": model,
                "embedding_status": "ready",
                "embedding_error": None,
            },
        )

    def fail_embedding(self, key: str, message: str, *, version: int) -> None:
        """Mark that no embedding of this version could be made, and why; one that was there goes.

        Raises:
            StaleVersion, NotFound: as `set_embedding`.
        """
        self._set(key, version, {**_NO_EMBEDDING, "embedding_status": "error", "embedding_error": message})

    def embed_again(self, *, user_id: str | None = None, model: str | None = None) -> int:
        """Make embeddings pending again and give their number: those of a user, of a model, or all.

        Documents that are pending already stay so.
        """
        equals: dict[str, Any] = {"embedding_status": ["processing", "ready", "error"]}
        if user_id is not None:
            equals["user_id"] = user_id
        if model is not None:
            equals["embedding_model"] = model
        changes = {**_NO_EMBEDDING, "embedding_status": "pending", "embedding_error": None}
        return self.update_where(changes=changes, **equals)

    def _set(self, key: str, version: int, changes: dict[str, Any]) -> None:
        if self.update_where(id=key, version=version, changes=changes):
            return
        raise self._stale(key, version)

    def _stale(self, key: str, version: int) -> DataLayerError:
        current = self.get(key).version
        return StaleVersion(
            f"KnowledgeDocument {key!r} is at version {current}, not {version}",
            hint="make the embedding of its present content",
        )


_NO_EMBEDDING: dict[str, Any] = {"embedding": None, "embedding_dimensions": None, "embedding_model": None}
