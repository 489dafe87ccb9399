"""JSON as both engines keep and compare it."""

from __future__ import annotations

import json

import pytest

from datalayer.engine.documents import same_json, write_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (1e16, "10000000000000000.0"),
        (-1.5e22, "-15000000000000000000000.0"),
        (-0.0, "0.0"),
        (-0.05, "-0.05"),
        (1e-7, "1e-07"),
        ("1e+16 -0.0", '"1e+16 -0.0"'),
        ('\\"1e+16', '"\\\\\\"1e+16"'),
        ([-0.0, "-0.0", 1e300], f'[0.0,"-0.0",1{"0" * 300}.0]'),
        ("é", '"é"'),
    ],
)
def test_documents_are_written_in_one_form(value: object, text: str) -> None:
    assert write_json(value) == text
    assert json.loads(text) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"a"])
def test_what_json_lacks_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        write_json(value)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("1", "1.00", True),
        ("1", "true", False),
        ("0", "false", False),
        ('"1"', "1", False),
        ("0.1", "0.10000000000000000555", False),
        ("100", "1e2", True),
        ('{"a":1,"b":2}', '{ "b": 2, "a": 1 }', True),
        ("[1,2]", "[2,1]", False),
        ("[[1]]", "[1]", False),
        ("null", "null", True),
    ],
)
def test_documents_are_compared_as_jsonb_does(left: str, right: str, *, same: bool) -> None:
    assert same_json(left, right) is same
    assert same_json(right, left) is same
