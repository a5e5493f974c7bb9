"""What engines answer to `GET /`."""

from typing import Any

import msgspec

# Recorded from org.opensearch.distribution.integ-test-zip:opensearch, each started on one machine.
OPENSEARCH_1_3: dict[str, Any] = {
    "name": "node",
    "cluster_name": "opensearch",
    "cluster_uuid": "D-L61-YoRC6rPQgU14xWCA",
    "version": {
        "distribution": "opensearch",
        "number": "1.3.20",
        "build_type": "zip",
        "build_hash": "31afd17a1b5a22338307e1f4a78092887c1490e3",
        "build_date": "2024-12-11T19:27:34.674387Z",
        "build_snapshot": False,
        "lucene_version": "8.10.1",
        "minimum_wire_compatibility_version": "6.8.0",
        "minimum_index_compatibility_version": "6.0.0-beta1",
    },
    "tagline": "The OpenSearch Project: https://opensearch.org/",
}
OPENSEARCH_2_19: dict[str, Any] = {
    "name": "node",
    "cluster_name": "opensearch",
    "cluster_uuid": "SKvqJr1aSyqdGyf-UPtCmw",
    "version": {
        "distribution": "opensearch",
        "number": "2.19.4",
        "build_type": "zip",
        "build_hash": "e2e89961c9a327daf514a7ce1320a6189bfd08cd",
        "build_date": "2025-11-01T02:35:07.862712745Z",
        "build_snapshot": False,
        "lucene_version": "9.12.3",
        "minimum_wire_compatibility_version": "7.10.0",
        "minimum_index_compatibility_version": "7.0.0",
    },
    "tagline": "The OpenSearch Project: https://opensearch.org/",
}
# The same node after PUT /_cluster/settings {"persistent":
# {"compatibility.override_main_response_version": true}}. It has no `distribution` then.
COMPATIBLE_2_19: dict[str, Any] = OPENSEARCH_2_19 | {
    "version": {
        **{k: v for k, v in OPENSEARCH_2_19["version"].items() if k != "distribution"},
        "number": "7.10.2",
    }
}
# Recorded from org.elasticsearch.distribution.integ-test-zip:elasticsearch, started on one machine.
# Version 8 has the same fields, and `"build_flavor": "default"` as downloads of 7.10 have:
# https://www.elastic.co/guide/en/elasticsearch/reference/8.19/rest-api-root.html
ELASTICSEARCH: dict[str, Any] = {
    "name": "",
    "cluster_name": "old",
    "cluster_uuid": "hw3BglxYT1yN7OTMoNNRPA",
    "version": {
        "number": "7.10.2",
        "build_flavor": "oss",
        "build_type": "zip",
        "build_hash": "747e1cc71def077253878a59143c1f785afa92b9",
        "build_date": "2021-01-13T00:42:12.435326Z",
        "build_snapshot": False,
        "lucene_version": "8.7.0",
        "minimum_wire_compatibility_version": "6.8.0",
        "minimum_index_compatibility_version": "6.0.0-beta1",
    },
    "tagline": "You Know, for Search",
}


def of_version(number: str) -> bytes:
    """The answer of OpenSearch of this version."""
    version = OPENSEARCH_2_19["version"] | {"number": number}
    return msgspec.json.encode(OPENSEARCH_2_19 | {"version": version})
