"""The OpenAPI document and what answers agree: requests made from it, over HTTP."""

import types
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
import schemathesis
from aws_lambda_powertools import Logger
from hypothesis import HealthCheck, settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from functions.search_images.api import Api, Stores
from functions.search_images.openapi import document
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.aliases import live_alias
from lockstep.local.gateway.server import application
from lockstep.local.mapping.response import Returned
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from tests.builders import change, image
from tests.contract.search.museum import Images
from tests.contract.sinks.suite import write
from tests.serving import serving

TABLE = "openapi"
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def address(images: Images, dynamodb_endpoint: str) -> Iterator[str]:
    """Where the API answers."""
    endpoints = Endpoints(None, dynamodb_endpoint, "http://unused", None)
    stack = Stack(endpoints, "", TABLE, "", "", LOCAL_REGION, {}, state="tests")
    dynamodb = Clients(stack).dynamodb
    ensure_table(dynamodb, TABLE)
    write(ImageTable(dynamodb, TABLE, longest_request=30), change("a", 1, image=image("A")))
    stores = Stores(images.client, live_alias(images.alias), lambda: dynamodb, TABLE)
    api = Api(lambda: stores, Logger(service="test"))

    def invoke(event: bytes, _request_id: str) -> Returned:
        context: Any = types.SimpleNamespace()
        return Returned(msgspec.json.encode(api.answer(msgspec.json.decode(event), context)))

    with serving(application(invoke)) as at:
        yield at


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_the_document_says_or_forbids_is_answered_as_it_says(
    case: Any, address: str
) -> None:
    case.call_and_validate(base_url=address, excluded_checks=list(_excluded(case.query or {})))


def _excluded(query: Mapping[str, Any]) -> Iterator[Any]:
    """What a JSON Schema cannot say of these parameters."""
    # A blank parameter counts as absent, whatever its type.
    if any(str(one).strip() in {"", "[]", "['']"} for one in query.values()):
        yield negative_data_rejection
    # Not every text is a cursor of this query, nor a date in the calendar.
    if query.keys() & {"cursor", "taken_from", "taken_to"}:
        yield positive_data_acceptance
