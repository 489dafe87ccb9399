"""The repository of search: hits by words and by meaning, and the index made anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datalayer.domains.search.model import SearchDocument, SearchHit
from datalayer.domains.search.similarity import Similarity
from datalayer.domains.search.snippets import marked, snippet
from datalayer.domains.search.sources import COLUMNS, sources
from datalayer.domains.search.words import Query, read_query
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation
from datalayer.repository.fields import decode_utc
from datalayer.schema.postgres_words import tsvector

__all__ = ["Search"]

_MOST = 200
_WORD_COLUMNS = ("title", "body")
_LAST = "d.updated_at DESC, d.id DESC"


class Search:
    """`store.search`: texts of all domains by their words, knowledge documents by what they mean.

    Words are letters and digits in any case, of any length; none is left out and none is stemmed. A change is
    found as soon as it is committed, and within its own transaction at once.

        store.search.find('migrat* "without loss" -draft', user_id=user.id)
    """

    def __init__(
        self, engine: Engine, model: type[SearchDocument] | None = None, *, data_dir: Path | None = None
    ) -> None:
        del model, data_dir
        self.engine = engine
        self._similarity = Similarity(engine)
        self.similar = self._similarity.similar
        self.similar_to = self._similarity.similar_to
        self.enable_pgvector = self._similarity.enable_pgvector

    def find(
        self,
        text: str,
        *,
        user_id: str | None = None,
        kinds: Sequence[str] = (),
        size: int = 20,
        skip: int = 0,
        marks: tuple[str, str] = ("[", "]"),
        words: int = 24,
    ) -> list[SearchHit]:
        """Give the texts that have all words, the best first; those in a title count more.

        `text` is what a user types: words, "words in a row", a beginning*, -without, this OR that. With
        `user_id` only what that user may read: their own texts, and messages of threads they take part in.
        `marks` go around what was found, `words` is how long a snippet may be, `skip` how many hits to pass
        over. One query; a snippet reads the text of its hit.

        Raises:
            CheckViolation: no word to look for, too many terms, or a size that is not 1 to 200.
        """
        if not 1 <= size <= _MOST or skip < 0 or words < 1:
            raise CheckViolation(f"a search gives 1 to {_MOST} hits", hint="ask for a page of that size")
        query = read_query(text)
        has_tables = self.engine.dialect.has_word_tables
        sql, params = self._by_fts5(query) if has_tables else self._by_tsvector(query)
        scope, owners = self._scope(user_id, kinds)
        best = f"{sql}{scope} ORDER BY score DESC, {_LAST} LIMIT ? OFFSET ?"
        found = self._fetch(
            f"SELECT d.kind, d.source_id, d.title, d.body, d.updated_at, best.score FROM ({best}) AS best"
            f" JOIN search_documents AS d ON d.id = best.id ORDER BY best.score DESC, {_LAST}",
            (*params, *owners, size, skip),
        )
        return [
            SearchHit(
                kind,
                source_id,
                marked(title, query, marks),
                snippet(body, query, marks, words=words),
                float(score),
                decode_utc(updated_at),
            )
            for kind, source_id, title, body, updated_at, score in found
        ]

    def rebuild(self) -> int:
        """Make the index anew from the texts of all domains, and give their number.

        One transaction, during which others cannot write on SQLite. Needed after rows were loaded past the
        triggers, and after search was added to a PostgreSQL database that had texts already.
        """
        with self.engine.transaction():
            self.engine.write("DELETE FROM search_documents")
            for source in sources(self.engine):
                self.engine.write(f"INSERT INTO search_documents ({COLUMNS}) {source.query}")
            row = self.engine.fetch_one("SELECT COUNT(*) FROM search_documents")
        return int(row[0]) if row else 0

    # -- statements --------------------------------------------------------------------------------

    def _by_fts5(self, query: Query) -> tuple[str, tuple[Any, ...]]:
        sql = (
            "SELECT d.id, -bm25(search_words, 5.0, 1.0) AS score FROM search_words"
            " JOIN search_documents AS d ON d.id = search_words.rowid WHERE search_words MATCH ?"
        )
        return sql, (query.fts5(),)

    def _by_tsvector(self, query: Query) -> tuple[str, tuple[Any, ...]]:
        # the text of the index itself holds question marks, which are no parameters
        vector = tsvector(_WORD_COLUMNS, "d").replace("?", "\0")
        sql = (
            f"SELECT d.id, ts_rank_cd({vector}, asked) AS score FROM search_documents AS d,"
            f" to_tsquery('simple', ?) AS asked WHERE ({vector}) @@ asked"
        )
        return sql, (query.tsquery(),)

    def _scope(self, user_id: str | None, kinds: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        sql, params = "", list[Any]()
        if kinds:
            sql += f" AND d.kind IN ({', '.join('?' * len(kinds))})"
            params += kinds
        if user_id is not None:
            own = "d.user_id = ?"
            params.append(user_id)
            if self.engine.columns("thread_participants"):
                own = (
                    f"({own} OR d.scope_id IN (SELECT thread_id FROM thread_participants WHERE user_id = ?))"
                )
                params.append(user_id)
            sql += f" AND {own}"
        return sql, tuple(params)

    def _fetch(self, sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self.engine.fetch_all(self.engine.dialect.sql(sql).replace("\0", "?"), params)
