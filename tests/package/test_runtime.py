"""Both built artifacts, under AWS's own runtime, bring every sample into the real stores."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lockstep.local.mapping.template import function_mapping, function_named
from lockstep.stack.clients import Clients
from lockstep.stack.stack import SEARCH, Stack
from tests.package import samples
from tests.package.tools import FUNCTIONS, TEMPLATE, emulated
from tools import sample_events

type Functions = Mapping[str, Callable[[bytes], Any]]


@pytest.fixture(scope="module")
def functions(
    built: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Functions]:
    """Both functions, running, in the environment that the template gives them."""
    with ExitStack() as running:
        yield {
            function: running.enter_context(
                emulated(
                    built / function,
                    described.handler,
                    {**described.environment, **samples.environments(stack)[function]},
                    tmp_path_factory.mktemp(function),
                )
            )
            for function, name in FUNCTIONS.items()
            for described in [function_mapping(TEMPLATE, name, stack).function]
        }


@pytest.fixture(scope="module")
def answers(functions: Functions) -> Mapping[tuple[str, str], Any]:
    """What each function answered to each sample."""
    return {
        (function, name): invoke(samples.invocation(name))
        for function, invoke in functions.items()
        for name in samples.names(function)
    }


@pytest.mark.parametrize(
    ("function", "name"),
    [(function, name) for function in FUNCTIONS for name in samples.names(function)],
)
def test_every_record_of_a_sample_is_settled(
    answers: Mapping[tuple[str, str], Any], function: str, name: str
) -> None:
    assert answers[function, name] == {"batchItemFailures": []}


@pytest.mark.usefixtures("answers")
def test_both_stores_hold_the_highest_version_of_each_image(stack: Stack) -> None:
    contents, _ = samples.expected()
    assert samples.in_table(stack) == contents
    assert samples.in_index(stack) == samples.expected_in_index()


@pytest.mark.usefixtures("answers")
def test_both_functions_quarantined_the_same_events_with_payload_and_reason(stack: Stack) -> None:
    _, set_aside = samples.expected()
    assert samples.in_quarantine(stack) == set_aside | samples.expected_of_the_table()


@pytest.mark.usefixtures("answers")
def test_everything_again_and_backwards_changes_nothing(functions: Functions, stack: Stack) -> None:
    for function, invoke in functions.items():
        for name in reversed(samples.names(function)):
            assert invoke(samples.invocation(name)) == {"batchItemFailures": []}
    contents, set_aside = samples.expected()
    assert samples.in_table(stack) == contents
    assert samples.in_index(stack) == samples.expected_in_index()
    assert samples.in_quarantine(stack) == set_aside | samples.expected_of_the_table()


@pytest.mark.usefixtures("answers")
def test_the_search_answers_each_sample_request(built: Path, stack: Stack, tmp_path: Path) -> None:
    described = function_named(TEMPLATE, SEARCH, stack)
    environment = {**described.environment, **samples.environments(stack)["SearchImages"]}
    Clients(stack).opensearch.indices.refresh(index=stack.index)
    with emulated(built / "SearchImages", described.handler, environment, tmp_path) as invoke:
        answered = {
            name: invoke(samples.invocation(f"http/{name}")) for name in sample_events.requests()
        }
    statuses = {name: answer["statusCode"] for name, answer in answered.items()}
    assert statuses == dict.fromkeys(statuses, 200) | {
        # The sample that deletes has been there.
        "record.json": 404,
        "no-such-image.json": 404,
        "mistakes.json": 400,
    }
    assert all(answer["headers"]["Content-Type"] for answer in answered.values())
