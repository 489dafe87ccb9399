"""Search: texts of all domains by their words, and knowledge documents by what they mean."""

from datalayer.domains.search.checks import INSPECTIONS
from datalayer.domains.search.model import KINDS, SearchDocument, SearchHit
from datalayer.domains.search.repository import Search
from datalayer.domains.search.similarity import Similar, Similarity

__all__ = ["INSPECTIONS", "KINDS", "Search", "SearchDocument", "SearchHit", "Similar", "Similarity"]
