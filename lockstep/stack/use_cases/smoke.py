"""The smoke test of a stack."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from lockstep.page.proxy import PageError
from lockstep.stack.clients import Clients
from lockstep.stack.smoke import Smoke, SmokeTest
from lockstep.stack.use_cases.put import put
from lockstep.stack.use_cases.search_api import search_api
from lockstep.stack.use_cases.stores import index_reader, table_reader


class _SmokeHit(msgspec.Struct):
    image_id: str


class _SmokeHits(msgspec.Struct):
    hits: list[_SmokeHit]


def smoke(clients: Clients, seconds: float, token_file: Path | None) -> Smoke:
    """Put an image, find it through the search API, compare both stores, and delete it.

    Args:
        clients: the stack's.
        seconds: how long to wait for each step.
        token_file: the file with the token, for a stack that takes tokens.

    Raises:
        SmokeError: a step did not end in time, or the stores differ.
        PageError: the search API does not answer.
        StoreUnreadableError: a store could not be read.
    """
    api = search_api(clients, token_file)
    api.check()

    def find(word: str) -> Iterable[str]:
        answer = api.ask("/images", urlencode({"q": word}))
        try:
            return [hit.image_id for hit in msgspec.json.decode(answer.body, type=_SmokeHits).hits]
        except msgspec.MsgspecError as error:
            said = answer.body[:200].decode("utf-8", "replace")
            raise PageError(f"the search API answers {answer.status}: {said}") from error

    test = SmokeTest(
        lambda events: put(clients, events),
        stores={"table": table_reader(clients), "index": index_reader(clients)},
        find=find,
        clock=clients.clock,
    )
    return test.run(seconds, 1.0 if clients.stack.state is None else 0.2)
