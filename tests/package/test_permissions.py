"""What the index functions ask of OpenSearch their roles allow: no local engine checks it."""

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import pytest

from functions.search_images.search import SearchRequest, page
from functions.search_images.suggest import suggest
from functions.write_to_es.connect import connect
from functions.write_to_es.engine import check_engine
from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from functions.write_to_es.sink import ImageIndex
from lockstep.stack.stack import Stack
from tests.builders import change, image

type Requests = set[tuple[str, str]]
"""Method and path."""


def _allowed(template: Mapping[str, Any], role: str, alias: str) -> Requests:
    (policy,) = template["Resources"][role]["Properties"]["Policies"]
    found = set()
    for one in policy["PolicyDocument"]["Statement"]:
        # With Dashboards there is one more.
        statement = one["Fn::If"][1] if "Fn::If" in one else one
        if not str(statement["Action"]).startswith("es:ESHttp"):
            continue
        method = statement["Action"].removeprefix("es:ESHttp").upper()
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            path = resource["Fn::Sub"][0].removeprefix("${Domain}")
            found.add((method, path.replace("${IndexAlias}", alias)))
    return found


def _asked(log: pytest.LogCaptureFixture) -> Requests:
    """What opensearch-py says that it sent."""
    lines = [one.getMessage().split() for one in log.records if one.name == "opensearch"]
    log.clear()
    return {(line[0], urlsplit(line[1]).path) for line in lines}


def _refused(asked: Requests, allowed: Requests) -> Requests:
    assert asked
    return {
        (method, path)
        for method, path in asked
        if not any(method == one and fnmatchcase(path, pattern) for one, pattern in allowed)
    }


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="opensearch")


def test_the_deployment_asks_only_for_what_its_role_allows(
    template: Mapping[str, Any], stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(stack.endpoints.opensearch, None, None)
    alias = "permissions"
    allowed = _allowed(template, "IndexOnDeploymentRole", alias)
    caplog.clear()
    check_engine(client.transport)
    ensure_index(client, alias, IndexSettings(1, "auto", "1s"))
    assert _refused(_asked(caplog), allowed) == set()
    ensure_index(client, alias, IndexSettings(5, "1", "2s"))
    assert _refused(_asked(caplog), allowed) == set()

    # An index of an earlier mapping.json, without the reading alias.
    (whole,) = client.indices.get(index=alias).values()
    del whole["mappings"]["properties"]["tags"]
    analysis = whole["settings"]["index"]["analysis"]
    alias = "older"
    client.indices.create(
        index="older-000007",
        body={
            "mappings": whole["mappings"],
            "settings": {"analysis": analysis},
            "aliases": {alias: {"is_write_index": True}},
        },
    )
    caplog.clear()
    ensure_index(client, alias)
    asked = _asked(caplog)
    assert {method for method, _ in asked} == {"GET", "PUT"}
    assert _refused(asked, _allowed(template, "IndexOnDeploymentRole", alias)) == set()


def test_the_search_asks_only_for_what_its_role_allows(
    template: Mapping[str, Any], stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(stack.endpoints.opensearch, None, None)
    index = ImageIndex(client, stack.index, longest_request=5)
    index.send([change(f"S{at}", 1, image=image("Searched")) for at in range(3)])
    client.indices.refresh(index=stack.index)
    caplog.clear()
    first = page(client, stack.live, SearchRequest(text="searched"), size=1)
    assert page(client, stack.live, SearchRequest(text="searched"), size=1, after=first.next).hits
    assert suggest(client, stack.live, "sear").suggestions
    assert _asked(caplog) == _allowed(template, "SearchImagesRole", stack.index)


def test_the_indexs_consumer_asks_only_for_what_its_role_allows(
    template: Mapping[str, Any], stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    index = ImageIndex(
        connect(stack.endpoints.opensearch, None, None), stack.index, longest_request=5
    )
    put = change("T1", 1)
    caplog.clear()
    index.send([put])
    index.send([put])
    index.send([change("T1", 1, image=image("another"))])
    index.check()
    asked = _asked(caplog)
    assert asked == _allowed(template, "WriteToEsRole", stack.index)
