"""Measure the size of the index, and the part of it that each way to index a text costs.

    python -m benchmarks.index_size [IMAGES]

The images are those of `benchmarks.search`. They are written into an index with the mapping of
release 0.1.0, into one of this release, and into one without each subfield. Each index is merged to
one segment. The processor time is that of OpenSearch.
"""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from benchmarks.search import IMAGES, engine_seconds, images
from functions.write_to_es.document import document_from
from functions.write_to_es.index import definition
from tools.engines import engines_for_tests

OLD = Path(__file__).parents[1] / "tests" / "contract" / "rebuild" / "release_0_1_0"
INDEX = "images"
A_REQUEST = 1000


def requests(count: int) -> list[bytes]:
    """The bodies of the `_bulk` requests that write the images."""
    return [
        b"".join(
            b'{"index":{}}\n' + msgspec.json.encode(document_from(change)) + b"\n"
            for change in some
        )
        for some in batched(images(count), A_REQUEST)
    ]


def megabytes(
    client: OpenSearch, body: Mapping[str, Any], bodies: Sequence[bytes]
) -> tuple[float, float]:
    """The size of an index with this definition in MB, and the processor time to fill it."""
    client.indices.create(index=INDEX, body=body)
    began = engine_seconds()
    for one in bodies:
        if client.bulk(body=one, index=INDEX, params={"filter_path": "errors"})["errors"]:
            raise RuntimeError("OpenSearch refuses a document")
    client.indices.forcemerge(index=INDEX, params={"max_num_segments": "1", "timeout": 600})
    took = engine_seconds() - began
    client.indices.flush(index=INDEX)
    client.indices.refresh(index=INDEX)  # removes the files of the merged segments
    stats = client.indices.stats(index=INDEX, metric="store")
    size: int = stats["_all"]["primaries"]["store"]["size_in_bytes"]
    client.indices.delete(index=INDEX)
    return size / 1_000_000, took


def subfields() -> list[str]:
    """The names of the subfields of texts."""
    return sorted({name for its in _fields(definition()["mappings"]) for name in its["fields"]})


def without(subfield: str) -> dict[str, Any]:
    """The definition of this release without the subfields of this name."""
    body: dict[str, Any] = copy.deepcopy(dict(definition()))
    for its in _fields(body["mappings"]):
        its["fields"].pop(subfield, None)
    return body


def _fields(mapping: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for its in mapping.get("properties", {}).values():
        if "fields" in its:
            yield its
        yield from _fields(its)


def main() -> None:
    """Print a line for each definition."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with engines_for_tests() as endpoint:
        client = OpenSearch([endpoint("opensearch")], timeout=120, max_retries=0)
        bodies = requests(count)
        print(f"{f'{count:,} images':<20}{'MB':>8}{'processor seconds':>20}", flush=True)
        old = msgspec.json.decode((OLD / "mapping.json").read_bytes())
        for name, body in (
            ("release 0.1.0", old),
            ("this release", definition()),
            *((f"without {one}", without(one)) for one in subfields()),
        ):
            size, took = megabytes(client, body, bodies)
            print(f"{name:<20}{size:>8.1f}{took:>20.1f}", flush=True)


if __name__ == "__main__":
    main()
