"""A made-up collection with the troubles of real ones: the form of its records, not their facts.

Each record is as a museum exports it. `MAPPING` has at most 20 lines.
"""

import csv
import io
import unicodedata
from typing import Any

MAPPING = b"""\
rest = "attributes"
normalize_names = true
more_tags = "more_keywords"
ignore = ["export"]
[fields]
"object number" = { to = ["image_id", "attributes.object_number"], id = "escape" }
"Title" = "name"
"dc:description" = "description"
"Keywords" = { to = "tags", split = "|" }
"people[].name" = "attributes.people"
"Photographed" = { to = ["taken_at", "attributes.photographed"], formats = ["iso", "%d.%m.%Y %H:%M", "%Y:%m:%d %H:%M:%S"], zone = "Europe/Amsterdam" }
"Image URL" = "url"
"width (px)" = "width"
[defaults]
content_type = "image/jpeg"
"""  # noqa: E501 - a rule of TOML is one line

TITLES = (
    "Low tide, \u201cNorth Sea\u201d",
    "東京の春",
    "경복궁의 봄",
    "Αθήνα τη νύχτα",
    "القاهرة عند الغروب",
    "שוק מחנה יהודה",
    "दिल्ली का लाल किला",
    "Đà Nẵng về đêm",
    "Зимний дворец",
    "กรุงเทพมหานคร",
    unicodedata.normalize("NFD", "제주도의 가을"),
    "ｶﾌｪの窓辺",
    "معرض الأزهَر ٨٨٥٥",
    "Sun\u00adflower\u200b field",
    "Harbour_at_dusk.jpg",
)
# A query for each trouble in a title, and the title's place in `TITLES`.
QUERIES = {
    "low tide": 0,
    "東京": 1,
    "ΑΘΗΝΑ": 3,
    "الغروب": 4,
    "מַחֲנֶה": 5,
    "da nang": 7,
    "กรุงเทพมหานคร": 9,
    "제주도의 가을": 10,
    "カフェ": 11,
    "الازهر": 12,
    "8855": 12,
    "sunflower": 13,
    "dusk": 14,
    "harbouratdusk": 14,
}
TIMES = (
    "2022-07-05 14:37:41-04",
    "2022-07-05 14:37:41",
    "5.7.2022 14:37",
    "2022:07:05 14:37:41",
    "1930-05-06T12:00:00+00:19:32",
    "20220705T143741Z",
)
NUMBERS = ("1982/{}", "RP-P-{}", "/{}", "Ölbild {} (a)", "oai:museum:{}", "IMG_{}.jpg")


def records(count: int) -> list[dict[str, Any]]:
    """So many records, each with an ID of its own."""
    return [_record(at) for at in range(count)]


TABLE_MAPPING = MAPPING.replace(b"people[].name", b"Makers")


def table(count: int) -> bytes:
    """The same records as a spreadsheet saves them: UTF-16, semicolons, values with line breaks."""
    file = io.StringIO(newline="")
    rows = [_row(one) for one in records(count)]
    writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode("utf-16")


def _row(record: dict[str, Any]) -> dict[str, Any]:
    makers = "; ".join(person["name"] for person in record.pop("people"))
    provenance, export = record.pop("provenance"), record.pop("export")
    return record | {
        "Makers": makers,
        "provenance.from": provenance["from"],
        "wd:id": provenance["place"]["wd:id"],
        "export.host": export["host"],
    }


def titled(count: int, place: int) -> int:
    """The number of records that have this title, as their own or in another field."""
    title = TITLES[place]
    return sum(title in one["Title"] or title in one["Credit Line"] for one in records(count))


def _record(at: int) -> dict[str, Any]:
    keywords = [f"word {at % 7}", "sea", f"{at}"] if at % 50 else [f"w{n}" for n in range(70)]
    return {
        "object number": NUMBERS[at % len(NUMBERS)].format(at),
        "Title": f"{TITLES[at % len(TITLES)]} {at}",
        "dc:description": f"Zustand: gut\nNr. {at}" if at % 3 else None,
        "Keywords": " | ".join(keywords),
        "people": [{"name": f"Ånn {at}", "role": "maker"}, {"name": "Bo", "born": 1900 + at % 90}],
        "Photographed": TIMES[at % len(TIMES)],
        "Image URL": f"https://museum.example/{at}.jpg",
        "width (px)": str(600 + at % 50),
        "Height (cm)": 12.50 + at % 9,
        "tms:id": at,
        "Credit Line": f"Gift of {TITLES[(at + 3) % len(TITLES)]}",
        "provenance": {"from": f"{1900 + at % 90}", "place": {"wd:id": f"Q{at}"}},
        "export": {"host": "db7", "at": at},
    }
