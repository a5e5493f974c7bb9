"""Which engines Lockstep can use, by their answer to `GET /`."""

from typing import Any

import msgspec
import pytest

from functions.write_to_es.engine import flaw_in_engine
from tests.unit.write_to_es.engine_answers import (
    COMPATIBLE_2_19,
    ELASTICSEARCH,
    OPENSEARCH_1_3,
    OPENSEARCH_2_19,
    of_version,
)

NEEDED = "Lockstep needs OpenSearch 3.3 or later"


@pytest.mark.parametrize("number", ["3.3.0", "3.3.2", "3.4.0", "3.10.1", "4.0.0", "3.3.0-SNAPSHOT"])
def test_opensearch_that_sorts_by_shard_and_document_is_used(number: str) -> None:
    assert flaw_in_engine(of_version(number)) is None


@pytest.mark.parametrize("number", ["1.3.20", "2.19.4", "3.0.0", "3.2.9", "2.33.0"])
def test_an_older_one_is_refused_with_its_version_the_needed_one_and_what_to_do(
    number: str,
) -> None:
    flaw = f"OpenSearch {number} is too old. {NEEDED}: upgrade the domain, then try again"
    assert flaw_in_engine(of_version(number)) == flaw


@pytest.mark.parametrize(
    ("answer", "flaw"),
    [
        (OPENSEARCH_1_3, "OpenSearch 1.3.20 is too old"),
        (OPENSEARCH_2_19, "OpenSearch 2.19.4 is too old"),
        (COMPATIBLE_2_19, "set the cluster setting compatibility.override_main_response_version"),
        (ELASTICSEARCH, "version 7.10.2 of another engine"),
        ({"version": {"number": "?", "distribution": "opensearch"}}, "OpenSearch ? is too old"),
        ({"error": "no"}, "the answer is not one of OpenSearch"),
        ([], "the answer is not one of OpenSearch"),
    ],
)
def test_each_answer_has_a_line_of_its_own(answer: Any, flaw: str) -> None:
    found = flaw_in_engine(msgspec.json.encode(answer))
    assert found is not None
    assert flaw in found
    assert NEEDED in found
    assert "\n" not in found


@pytest.mark.parametrize("answer", ["<html>", "", "\udcff", b"\xff"])
def test_what_is_not_json_is_not_an_answer_of_opensearch(answer: str | bytes) -> None:
    assert "the answer is not one of OpenSearch" in str(flaw_in_engine(answer))
