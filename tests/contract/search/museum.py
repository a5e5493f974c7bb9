"""The searched images: 2,000 real records, as the function writes them, and some of our own."""

from collections.abc import Sequence
from pathlib import Path

from opensearchpy import OpenSearch

from functions.search_images.search import Hit, search
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.sink import ImageIndex
from shared.change import Change
from shared.outcome import Applied
from tests.builders import change, image
from tests.contract.sinks.suite import write

RECORDS = Path(__file__).parents[3] / "data" / "tate-2000.ndjson"

# Beside the museum's: what it has none of, or too much of.
OURS: Sequence[Change] = [
    change("own-1", 1, image=image("Café au Sénat, Besançon", description="Pastel on grey paper")),
    change("own-2", 1, image=image("Cafe\u0301 de nuit", tags=["Zürich", "smørrebrød"])),
    change(
        "own-3",
        1,
        image=image(
            "Plain name",
            url="https://pictures.example/2026/IMG_20260314_181522.jpg",
            content_type="image/x-peculiar",
            uploaded_by="uploader-117",
            checksum="sha256:cafe0123beef",
            description="Quagga at the waterhole",
            attributes={"photographer": "Zsófia Żółkiewska", "lens": "Noctilux"},
        ),
    ),
    change("own-4", 1, image=image("東京タワーの夜景")),
    change("own-5", 1, image=image("हिन्दी दीवार")),
    change("own-6", 1, image=image("<em>Marked</em> quuxification & more", tags=["<b>quuxer</b>"])),
]


class Images:
    """The searched images, and room for a few more."""

    def __init__(self, client: OpenSearch, alias: str) -> None:
        self.client = client
        self.alias = alias
        self._sink = ImageIndex(client, alias, longest_request=30.0)

    def put(self, *several: Change) -> None:
        assert write(self._sink, *several) == [Applied()] * len(several)
        self.client.indices.refresh(index=self.alias)

    def found(self, text: str, size: int = 10) -> Sequence[Hit]:
        return search(self.client, live_alias(self.alias), text, size=size).hits

    def ids(self, text: str, size: int = 10) -> Sequence[str]:
        return [hit.image_id for hit in self.found(text, size)]
