"""The JSON of the index's client: by msgspec, and the same as by Python's json."""

import json
import math
import uuid
from typing import Any

import pytest
from opensearchpy.exceptions import SerializationError
from opensearchpy.serializer import JSONSerializer
from urllib3 import Timeout

from doors.opensearch import client

THEIRS = JSONSerializer()


@pytest.fixture
def serializer() -> Any:
    made = client("http://127.0.0.1:9200", None, None, timeout=Timeout(1))
    return made.transport.serializer


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"match": {"name": "Sächsische Schweiz, 東京 \U0001f3d4"}}, "size": 10},
        {"text": 'quotes " and \\ and \u0000 and \u2028', "none": None, "yes": True},
        {"version": 2**63, "negative": -(2**63), "boost": 0.4},
        ["a", ("tuple", 1)],
        {"half of a pair": "\ud800"},
        {"big": 2**80, "id": uuid.UUID(int=7)},
        {},
    ],
)
def test_a_body_has_the_meaning_that_pythons_json_gives_it(serializer: Any, body: Any) -> None:
    assert json.loads(serializer.dumps(body)) == json.loads(THEIRS.dumps(body))


@pytest.mark.parametrize("body", ["as it is\n", b"as it is\n"])
def test_an_encoded_body_is_not_encoded_again(serializer: Any, body: Any) -> None:
    assert serializer.dumps(body) is body


def test_what_nobody_can_encode_is_an_error_of_opensearch_py(serializer: Any) -> None:
    with pytest.raises(SerializationError):
        serializer.dumps({"body": object()})


@pytest.mark.parametrize(
    "answer",
    [
        '{"hits":{"total":{"value":3},"hits":[]},"timed_out":false}',
        '{"half":"\\ud800","pair":"\\ud83c\\udfd4"}',
        '{"raw":"\ud800"}',
        '{"same":1,"same":2}',
        f'{{"large":{2**64},"larger":{10**30},"exact":0.1,"exponent":1e400,"whole":1E2}}',
        '{"infinite":Infinity}',
        " [1, 2.5, null] \n",
    ],
)
def test_an_answer_has_the_meaning_that_pythons_json_gives_it(serializer: Any, answer: str) -> None:
    ours, theirs = serializer.loads(answer), THEIRS.loads(answer)
    assert ours == theirs
    assert repr(ours) == repr(theirs)


def test_nan_is_read_as_pythons_json_reads_it(serializer: Any) -> None:
    assert math.isnan(serializer.loads('{"not a number":NaN}')["not a number"])


@pytest.mark.parametrize("answer", ["", '{"hits":', "<html>", "{} {}"])
def test_an_answer_that_is_not_json_is_an_error_of_opensearch_py(
    serializer: Any, answer: str
) -> None:
    with pytest.raises(SerializationError):
        serializer.loads(answer)
