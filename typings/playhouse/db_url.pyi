from typing import Any
from urllib.parse import ParseResult

from peewee import Database

schemes: dict[str, type[Database]]

def register_database(db_class: type[Database], *names: str) -> None: ...
def parseresult_to_dict(
    parsed: ParseResult, unquote_password: bool = False, unquote_user: bool = False
) -> dict[str, Any]: ...
def parse(url: str, unquote_password: bool = False, unquote_user: bool = False) -> dict[str, Any]: ...
def connect(
    url: str, unquote_password: bool = False, unquote_user: bool = False, **connect_params: Any
) -> Database: ...
