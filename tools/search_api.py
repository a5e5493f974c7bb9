"""Print the OpenAPI document of the search API: `python -m tools.search_api`.

`make generated` writes it to docs/search-api.openapi.json.
"""

import sys

import msgspec

from functions.search_images.openapi import document

if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document())) + b"\n")
