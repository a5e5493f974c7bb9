"""The dashboard that can be imported: whole, and its charts can be drawn from the index."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch

from functions.write_to_es.index import definition, ensure_index

OBJECTS = {
    (one["type"], one["id"]): one
    for one in msgspec.json.Decoder().decode_lines(
        Path(__file__).parents[3].joinpath("docs/dashboards/lockstep.ndjson").read_bytes()
    )
}
CHARTS = {
    its["attributes"]["title"]: msgspec.json.decode(its["attributes"]["visState"])
    for (kind, _), its in OBJECTS.items()
    if kind == "visualization"
}


def aggregation(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Dashboards asks OpenSearch for, of a chart's metric or axis."""
    params = asked["params"]
    match asked["type"]:
        case "terms":
            missing = {"missing": params["missingBucketLabel"]} if params["missingBucket"] else {}
            return {"terms": {"field": params["field"], "size": params["size"], **missing}}
        case "date_histogram":
            return {"auto_date_histogram": {"field": params["field"]}}
        case "histogram":
            return {"histogram": {"field": params["field"], "interval": params["interval"]}}
        case metric:
            return {metric: {"field": params["field"]}}


def test_the_dashboard_brings_all_that_it_shows() -> None:
    for one in OBJECTS.values():
        for reference in one["references"]:
            assert (reference["type"], reference["id"]) in OBJECTS
    dashboard = OBJECTS["dashboard", "lockstep"]
    panels = msgspec.json.decode(dashboard["attributes"]["panelsJSON"])
    shown = [one["panelRefName"] for one in panels]
    assert shown == [one["name"] for one in dashboard["references"]]
    assert {(one["type"], one["id"]) for one in dashboard["references"]} == OBJECTS.keys() - {
        ("dashboard", "lockstep"),
        ("index-pattern", "lockstep-images-live"),
    }


def test_it_reads_where_no_tombstones_are() -> None:
    pattern = OBJECTS["index-pattern", "lockstep-images-live"]["attributes"]
    assert pattern == {"title": "images-live", "timeFieldName": "arrived_at"}


def test_the_list_shows_fields_that_are_there() -> None:
    its = OBJECTS["search", "lockstep-latest-versions"]["attributes"]
    ((sorted_by, _),) = its["sort"]
    assert {*its["columns"], sorted_by} <= definition()["mappings"]["properties"].keys()


@pytest.mark.parametrize("title", CHARTS)
def test_a_chart_can_be_drawn(title: str, opensearch_endpoint: str) -> None:
    client = OpenSearch([opensearch_endpoint])
    alias = "dashboard"
    ensure_index(client, alias)
    fields: dict[str, Any] = {
        "arrived_at": 1_795_248_000_000,
        "event_type": "image.uploaded",
        "size_bytes": 348_112,
        "uploaded_by": "u-117",
        "content_type": "image/jpeg",
    }
    document = {"image_id": "T1", "version": 1, "deleted": False, "name": "x", **fields}
    client.index(index=alias, id="T1", body=document, params={"refresh": "true"})
    asked = [one for one in CHARTS[title]["aggs"] if one["type"] != "count"]
    answer = client.search(
        index=f"{alias}-live",
        body={"size": 0, "aggs": {one["id"]: aggregation(one) for one in asked}},
    )
    for one in asked:
        found = answer["aggregations"][one["id"]]
        counts = [bucket["doc_count"] for bucket in found.get("buckets", ())]
        assert counts == [1] or found["value"] == fields[one["params"]["field"]]
