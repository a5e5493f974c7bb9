"""What release 0.1.0 accepted and stored is still accepted, and audits as before.

tests/corpus/release_0_1_0/images.ndjson has facts: records that release 0.1.0 (commit 29e8c48)
accepted, what it encoded, and the item and the document that it stored. They have every field,
times in each form that the decoder takes, repeated names, and each limit.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.write_to_es.document import change_in_document
from lockstep.stores.entry import from_document, from_item
from lockstep.stores.image_state import Intact, state_of_document, state_of_item
from shared.change import Put
from shared.event import Image, decode, digest, encode
from shared.item import change_in_item, item_from

FACTS = [
    msgspec.json.decode(line)
    for line in (Path(__file__).parents[2] / "corpus/release_0_1_0/images.ndjson")
    .read_bytes()
    .splitlines()
]
STORED = [fact for fact in FACTS if "item" in fact]


def test_the_facts_have_every_field_of_an_image_of_that_release() -> None:
    fields = {name for fact in STORED for name in msgspec.json.decode(fact["encoded"])["image"]}
    assert fields <= set(Image.__struct_fields__)
    assert len(fields) == 12
    assert len(STORED) < len(FACTS), "some are deletions"


@pytest.mark.parametrize("fact", FACTS, ids=range(len(FACTS)))
def test_a_record_is_accepted_and_means_the_same(fact: dict[str, Any]) -> None:
    event = decode(fact["record"].encode())
    assert encode(event).decode() == fact["encoded"]
    if isinstance(event.image, Image):
        assert digest(event.image) == fact["item"]["digest"]["S"]


@pytest.mark.parametrize("fact", STORED, ids=range(len(STORED)))
def test_an_item_is_valid_and_would_be_stored_the_same(fact: dict[str, Any]) -> None:
    change = change_in_item(fact["item"])
    assert isinstance(change, Put)
    assert item_from(change) == fact["item"]
    assert digest(change.image) == change.digest


@pytest.mark.parametrize("fact", STORED, ids=range(len(STORED)))
def test_an_item_and_its_document_audit_as_equal(fact: dict[str, Any]) -> None:
    image_id, version = fact["document"]["image_id"], fact["document"]["version"]
    hit = {"_id": image_id, "_version": version, "_source": fact["document"]}
    item, document = from_item(fact["item"]), from_document(hit)
    assert (item.malformed, document.malformed) == (None, None)
    assert (item.version, item.digest, item.deleted) == (
        document.version,
        document.digest,
        document.deleted,
    )
    found = change_in_document(fact["document"])
    assert isinstance(found, Put)
    assert digest(found.image) == item.digest
    assert isinstance(state_of_item(fact["item"]), Intact)
    assert isinstance(state_of_document(hit), Intact)
