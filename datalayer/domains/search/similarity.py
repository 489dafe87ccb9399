"""Knowledge documents by what they mean: the cosine of the angle between embeddings, exactly.

Every vector of the user is compared. On PostgreSQL with pgvector the server
looks for the nearest ones, and their order is then computed as everywhere, so all ways give the same answer.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, DataLayerError, NotFound
from datalayer.repository.embedding import decode_embedding

__all__ = ["Similar", "Similarity"]

_BATCH = 500
# of an answer of pgvector's, which counts in 32 bits, so many times more are looked at exactly
_SPARE = 4
_DIGITS = 6
_SIDE_TABLE = """
CREATE TABLE IF NOT EXISTS knowledge_vectors (
    document_id text COLLATE "C" PRIMARY KEY
        CONSTRAINT knowledge_vectors_document REFERENCES knowledge_documents (id) ON DELETE CASCADE,
    updated_at timestamptz NOT NULL,
    embedding vector NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Similar:
    """A document, and how near it is: 1 means the same, 0 nothing in common, -1 the opposite."""

    document_id: str
    title: str
    category: str
    similarity: float


class Similarity:
    """The part of `store.search` that compares embeddings."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def similar(
        self, embedding: Sequence[float], *, user_id: str, category: str | None = None, limit: int = 10
    ) -> list[Similar]:
        """Give the user's documents nearest to a vector, of those that are embedded in as many dimensions.

        Equally near ones come by id. Cost: all vectors of the user are read, unless pgvector is enabled.

        Raises:
            CheckViolation: the vector is empty, zero or not finite, or the limit is not 1 to 1000.
        """
        asked = [float(value) for value in embedding]
        length = _length(asked)
        if not (asked and length > 0 and math.isfinite(length)) or not 1 <= limit <= 1000:
            raise CheckViolation(
                "a vector to compare with has a direction, and 1 to 1000 documents are asked for",
                columns=("embedding",),
            )
        stored = self._nearest(asked, user_id, category, limit)
        scored = ((round(near, _DIGITS), key) for key, near in _similarities(asked, stored))
        best = heapq.nsmallest(limit, scored, key=lambda one: (-one[0], one[1]))
        return self._told(best)

    def similar_to(self, document_id: str, *, user_id: str, limit: int = 10) -> list[Similar]:
        """Give the user's documents nearest to one of them, without that one; none where it is not embedded.

        Raises:
            NotFound: there is no such document, or it is another user's.
        """
        sql = "SELECT embedding FROM knowledge_documents WHERE id = ? AND user_id = ?"
        row = self._engine.fetch_one(self._engine.dialect.sql(sql), (document_id, user_id))
        if row is None:
            raise NotFound(f"no KnowledgeDocument answers to {document_id!r}")
        if row[0] is None:
            return []
        found = self.similar(decode_embedding(bytes(row[0])), user_id=user_id, limit=limit + 1)
        return [one for one in found if one.document_id != document_id][:limit]

    def enable_pgvector(self) -> None:
        """Let PostgreSQL look for near vectors itself, by its extension pgvector; once for a database.

        Makes the table `knowledge_vectors` beside the documents, which later searches keep up to date. The
        user must be allowed to create the extension where it is not there yet.

        Raises:
            DataLayerError: not PostgreSQL, or the server has no pgvector.
        """
        engine = self._engine
        available = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
        if not engine.dialect.has_extensions or engine.fetch_one(available) is None:
            raise DataLayerError(
                f"{engine.display_url} has no pgvector", hint="install it on the server, or go on without it"
            )
        with engine.transaction():
            engine.execute("CREATE EXTENSION IF NOT EXISTS vector")
            engine.execute(_SIDE_TABLE)

    # -- candidates --------------------------------------------------------------------------------

    def _nearest(
        self, asked: Sequence[float], user_id: str, category: str | None, limit: int
    ) -> Iterable[tuple[str, bytes]]:
        where, params = " AND user_id = ? AND embedding_dimensions = ?", [user_id, len(asked)]
        if category is not None:
            where, params = f"{where} AND category = ?", [*params, category]
        if not self._engine.dialect.has_extensions or not self._engine.columns("knowledge_vectors"):
            return self._all(where, params)
        return self._by_pgvector(asked, where, params, limit * _SPARE)

    def _all(self, where: str, params: Sequence[Any]) -> Iterator[tuple[str, bytes]]:
        sql = self._engine.dialect.sql(
            f"SELECT id, embedding FROM knowledge_documents WHERE id > ?{where} ORDER BY id LIMIT {_BATCH}"
        )
        last = ""
        while rows := self._engine.fetch_all(sql, (last, *params)):
            yield from ((key, bytes(stored)) for key, stored in rows)
            last = rows[-1][0]

    def _by_pgvector(
        self, asked: Sequence[float], where: str, params: Sequence[Any], limit: int
    ) -> list[tuple[str, bytes]]:
        self._bring_up_to_date(where, params)
        sql = (
            "SELECT d.id, d.embedding FROM knowledge_vectors AS v"
            f" JOIN knowledge_documents AS d ON d.id = v.document_id WHERE true{where}"
            " ORDER BY v.embedding <=> ?::vector, d.id LIMIT ?"
        )
        found = self._engine.fetch_all(self._engine.dialect.sql(sql), (*params, _direction(asked), limit))
        return [(key, bytes(stored)) for key, stored in found]

    def _bring_up_to_date(self, where: str, params: Sequence[Any]) -> None:
        """Copy vectors that came or changed since the last search."""
        engine = self._engine
        changed = engine.dialect.sql(
            "SELECT d.id, d.updated_at, d.embedding FROM knowledge_documents AS d"
            " LEFT JOIN knowledge_vectors AS v ON v.document_id = d.id"
            f" WHERE v.updated_at IS DISTINCT FROM d.updated_at{where} ORDER BY d.id LIMIT {_BATCH}"
        )
        upsert = engine.dialect.sql(
            "INSERT INTO knowledge_vectors (document_id, updated_at, embedding) VALUES (?, ?, ?::vector)"
            " ON CONFLICT (document_id) DO UPDATE"
            " SET updated_at = excluded.updated_at, embedding = excluded.embedding"
        )
        while rows := engine.fetch_all(changed, params):
            engine.execute_many(
                upsert, [(k, moment, _direction(decode_embedding(bytes(e)))) for k, moment, e in rows]
            )

    def _told(self, best: Sequence[tuple[float, str]]) -> list[Similar]:
        if not best:
            return []
        marks = ", ".join("?" * len(best))
        sql = f"SELECT id, title, category FROM knowledge_documents WHERE id IN ({marks})"
        rows = self._engine.fetch_all(self._engine.dialect.sql(sql), tuple(key for _, key in best))
        known = {key: (title, category) for key, title, category in rows}
        return [Similar(key, *known[key], near) for near, key in best if key in known]


def _direction(vector: Sequence[float]) -> str:
    """Give a vector of length 1 in pgvector's words: in 32 bits squares of small numbers vanish."""
    length = _length(vector) or 1.0
    return f"[{','.join(repr(value / length) for value in vector)}]"


def _similarities(asked: Sequence[float], stored: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, float]]:
    """Yield the cosine of each vector that has a direction."""
    length = _length(asked)
    for key, vector in stored:
        numbers = decode_embedding(vector)
        own = _length(numbers)
        if own > 0:
            yield key, sum(map(mul, asked, numbers)) / (length * own)


def _length(vector: Sequence[float]) -> float:
    return math.sqrt(sum(map(mul, vector, vector)))
