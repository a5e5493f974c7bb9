"""The names of documents that somebody wrote with a custom routing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from lockstep.stores.routing import name_of, routed
from shared.event import IMAGE_ID_PATTERN

TEXT = st.text(st.characters())


@given(TEXT, TEXT)
def test_a_name_tells_the_id_and_the_routing_and_no_image_has_it(
    document_id: str, routing: str
) -> None:
    name = name_of(document_id, routing)
    assert routed(name) == (document_id, routing)
    assert not re.match(IMAGE_ID_PATTERN, name)


@given(st.from_regex(IMAGE_ID_PATTERN))
def test_the_id_of_an_image_has_no_routing(image_id: str) -> None:
    assert routed(image_id) is None


def test_an_id_that_looks_like_a_name_keeps_its_own_routing() -> None:
    assert routed(name_of("a?routing=b", "c?routing=d")) == ("a?routing=b", "c?routing=d")
