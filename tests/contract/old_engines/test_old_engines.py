"""An engine that is too old is refused in one line: by each command, `up` and a deployment.

A small server answers as the old engines did (`engine_answers`): no test needs their download.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from doors.on_deployment import LONGEST_REASON
from functions.write_to_es.connect import connect
from functions.write_to_es.engine import UnsuitableEngineError, check_engine
from lockstep.local.prepare import prepare
from lockstep.stack.clients import Clients
from lockstep.stack.engine import EngineRefusedError
from lockstep.stack.stack import write_local
from lockstep.stack.use_cases.aliases import checked_index
from tests.builders import image, image_event
from tests.contract.old_engines.conftest import OldEngine
from tests.contract.redrive.conftest import Stage
from tests.contract.search.test_index_on_deployment import CloudFormation
from tests.unit.write_to_es.engine_answers import (
    COMPATIBLE_2_19,
    ELASTICSEARCH,
    OPENSEARCH_1_3,
    OPENSEARCH_2_19,
)

TOO_OLD = (
    "OpenSearch 2.19.4 is too old. Lockstep needs OpenSearch 3.3 or later: "
    "upgrade the domain, then try again"
)


@pytest.mark.parametrize(
    ("status", "root", "line"),
    [
        (200, OPENSEARCH_2_19, TOO_OLD),
        (200, OPENSEARCH_1_3, "OpenSearch 1.3.20 is too old"),
        (200, COMPATIBLE_2_19, "compatibility.override_main_response_version to false"),
        (200, ELASTICSEARCH, "version 7.10.2 of another engine"),
        # https://github.com/opensearch-project/opensearch-ruby/issues/131: a collection has no
        # `GET /`.
        (404, {}, "like a collection of OpenSearch Serverless"),
        (401, {}, "allow es:ESHttpGet on the path / of the domain"),
        (403, {}, "allow es:ESHttpGet on the path / of the domain"),
    ],
)
def test_the_line_names_the_engine_and_what_is_wrong(
    old_engine: OldEngine, status: int, root: Mapping[str, Any], line: str
) -> None:
    old_engine.status, old_engine.root = status, root
    with pytest.raises(UnsuitableEngineError) as caught:
        check_engine(connect(old_engine.url, None, None).transport)
    assert str(caught.value).startswith(f"{old_engine.url}: ")
    assert line in str(caught.value)
    assert "Lockstep needs OpenSearch 3.3 or later" in str(caught.value)


def test_each_command_refuses_it_in_one_line_after_one_request(
    stage: Stage, old_engine: OldEngine
) -> None:
    stage.put_raw(image_event("i-1"), "i-1")
    stage.put_raw(image_event("i-1", image=image("other content")), "i-1")
    stage.drain()
    (case,) = stage.answer("quarantine", "list")["cases"]
    elsewhere = msgspec.structs.replace(stage.stack.endpoints, opensearch=old_engine.url)
    write_local(msgspec.structs.replace(stage.stack, endpoints=elsewhere), stage.state)
    for words in (
        "audit",
        "audit --repair",
        "audit --repair --apply",
        "audit --sample 10",
        "purge",
        "purge --apply",
        "rebuild",
        "rebuild --apply",
        "rebuild --abandon",
        "search thames",
        f"quarantine show {case['id']}",
        f"redrive --apply --choose stored {case['id']}",
        "replay --since 12h --apply",
    ):
        old_engine.asked.clear()
        result = stage.lockstep(*words.split())
        line = f"Error: {old_engine.url}: {TOO_OLD}"
        assert (words, result.exit_code, result.stderr.splitlines()[-1:]) == (words, 2, [line])
        assert (words, old_engine.asked) == (words, ["GET /"])


def test_a_status_refuses_it(stage: Stage, old_engine: OldEngine) -> None:
    elsewhere = msgspec.structs.replace(stage.stack.endpoints, opensearch=old_engine.url)
    with pytest.raises(EngineRefusedError, match=r"2\.19\.4 is too old"):
        checked_index(Clients(msgspec.structs.replace(stage.stack, endpoints=elsewhere)))


def test_up_refuses_it_before_it_creates_an_index(stage: Stage, old_engine: OldEngine) -> None:
    elsewhere = msgspec.structs.replace(stage.stack.endpoints, opensearch=old_engine.url)
    stack = msgspec.structs.replace(stage.stack, endpoints=elsewhere)
    with pytest.raises(EngineRefusedError, match=r"2\.19\.4 is too old"):
        prepare(stack, Clients(stack), shards=1)
    assert old_engine.asked == ["GET /"]


def test_a_deployment_fails_with_that_line_and_creates_no_index(
    cloudformation: CloudFormation, old_engine: OldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENSEARCH_ENDPOINT", old_engine.url)
    monkeypatch.setenv("OPENSEARCH_SIGNING", "no")
    monkeypatch.setenv("INDEX_ALIAS", "images")
    answer = cloudformation.ask("Create")
    assert answer["Status"] == "FAILED"
    assert f"{old_engine.url}: {TOO_OLD}" in answer["Reason"]
    assert old_engine.asked == ["GET /"]


def test_the_reason_of_a_failed_deployment_is_short(
    cloudformation: CloudFormation, old_engine: OldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_engine.root = {"version": {"number": "9" * 100_000}}
    monkeypatch.setenv("OPENSEARCH_ENDPOINT", old_engine.url)
    monkeypatch.setenv("OPENSEARCH_SIGNING", "no")
    monkeypatch.setenv("INDEX_ALIAS", "images")
    reason = cloudformation.ask("Create")["Reason"]
    assert len(reason) <= LONGEST_REASON
    assert " characters] …" in reason
