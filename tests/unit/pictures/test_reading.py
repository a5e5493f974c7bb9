"""Reading a picture: format, size, checksum, and which of EXIF, IPTC and XMP counts."""

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lockstep.pictures.notes import NotAPictureError, PictureNote
from lockstep.pictures.reading import Picture, PictureSettings, read_picture
from tests.made_pictures import (
    ASCII,
    BYTE,
    EXIF_POINTER,
    GPS_POINTER,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    alternatives,
    bag,
    chunk,
    encoded,
    heic,
    iim,
    itxt,
    jpeg,
    png,
    resources,
    tiff,
    xmp,
)

DESCRIPTION, MAKE, MODEL, ORIENTATION, ARTIST = 0x10E, 0x10F, 0x110, 0x112, 0x13B
TAKEN, OFFSET, FRACTION, COMMENT = 0x9003, 0x9011, 0x9291, 0x9286
TITLE, KEYWORD, DATE, TIME, AUTHOR, CAPTION = 5, 25, 55, 60, 80, 120
TALL = (10, 20)
TURNED: Directory = {ORIENTATION: (SHORT, 6)}


def read(content: bytes, **settings: Any) -> Picture:
    return read_picture(io.BytesIO(content), PictureSettings(**{"zone": UTC} | settings))


def notes(picture: Picture) -> list[str]:
    return [f"{note.field}: {note.why}" for note in picture.notes]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (encoded("JPEG"), "image/jpeg"),
        (encoded("PNG"), "image/png"),
        (encoded("GIF"), "image/gif"),
        (encoded("WEBP"), "image/webp"),
        (encoded("WEBP", lossless=True), "image/webp"),
        (encoded("AVIF"), "image/avif"),
        (encoded("BMP"), "image/bmp"),
        (encoded("TIFF"), "image/tiff"),
        (encoded("TIFF", big_tiff=True), "image/tiff"),
        (encoded("JPEG2000"), "image/jp2"),
        (heic((8, 8)), "image/heic"),
        (heic((8, 8), brand=b"mif1"), "image/heif"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', "image/svg+xml"),
    ],
)
def test_the_format_and_the_size_are_those_of_the_content(
    content: bytes, content_type: str
) -> None:
    picture = read(content)
    assert picture.format.content_type == content_type
    assert (picture.width, picture.height) == (8, 8)
    assert picture.size_bytes == len(content)
    assert picture.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert picture.notes == ()


def test_a_stream_of_pieces_is_read_like_a_file() -> None:
    content = jpeg(exif=tiff({DESCRIPTION: (ASCII, "Sunrise")}))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    assert read_picture(pieces(), PictureSettings(zone=UTC)) == read(content)


@pytest.mark.parametrize(
    "content",
    [
        jpeg(exif=tiff(TURNED), size=TALL),
        png(chunk(b"eXIf", tiff(TURNED)), size=TALL),
        png(after=chunk(b"eXIf", tiff(TURNED, order=">")), size=TALL),
        encoded("WEBP", TALL, exif=tiff(TURNED)),
        encoded("AVIF", TALL, exif=tiff(TURNED)),
        tiff({0x100: (SHORT, 10), 0x101: (SHORT, 20), ORIENTATION: (SHORT, 6)}),
        heic(TALL, exif=tiff(TURNED), quarter_turns=1),
    ],
    ids=["jpeg", "png", "png, after the pixels", "webp", "avif", "tiff", "heic"],
)
def test_width_and_height_are_those_after_the_orientation(content: bytes) -> None:
    picture = read(content)
    assert (picture.width, picture.height) == (20, 10)


def test_the_orientation_of_heic_is_that_of_its_boxes_not_that_of_exif() -> None:
    picture = read(heic(TALL, exif=tiff(TURNED)))
    assert (picture.width, picture.height) == TALL


def test_a_turned_avif_file_keeps_each_character_of_its_exif() -> None:
    exif = tiff({DESCRIPTION: (ASCII, b"K##se\0"), ORIENTATION: (SHORT, 6)})
    content = encoded("AVIF", exif=exif).replace(b"K##se", "Käse".encode())
    assert read(content).caption == "Käse"


EXIF = tiff(
    {
        DESCRIPTION: (ASCII, "caption of EXIF"),
        ARTIST: (ASCII, "author of EXIF"),
        EXIF_POINTER: {TAKEN: (ASCII, "2021:01:01 01:01:01")},
    }
)
IPTC = iim(
    (TITLE, b"title of IPTC"),
    (CAPTION, b"caption of IPTC"),
    (AUTHOR, b"author of IPTC"),
    (KEYWORD, b"keyword of IPTC"),
    (DATE, b"20220202"),
    (TIME, b"020202+0000"),
)
XMP = xmp(
    alternatives("dc:title", fr="titre", default="title of XMP")
    + alternatives("dc:description", default="caption of XMP")
    + bag("dc:creator", "author of XMP", kind="Seq")
    + bag("dc:subject", "keyword of XMP"),
    'photoshop:DateCreated="2023-03-03T03:03:03Z"',
)


@pytest.mark.parametrize(
    ("digest", "source", "year"),
    [(None, "XMP", 2023), (b"right", "XMP", 2023), (b"of another block", "IPTC", 2022)],
)
def test_xmp_counts_before_iptc_unless_iptc_was_changed_since(
    digest: bytes | None, source: str, year: int
) -> None:
    picture = read(jpeg(xmp_packet=XMP, photoshop=resources(IPTC, digest)))
    assert picture.title == f"title of {source}"
    assert picture.caption == f"caption of {source}"
    assert picture.author == f"author of {source}"
    assert picture.keywords == (f"keyword of {source}",)
    assert picture.taken_at is not None
    assert picture.taken_at.year == year


def test_exif_counts_before_both() -> None:
    picture = read(jpeg(exif=EXIF, xmp_packet=XMP, photoshop=resources(IPTC, b"of another block")))
    assert picture.title == "title of IPTC"
    assert picture.caption == "caption of EXIF"
    assert picture.author == "author of EXIF"
    assert picture.taken_at == datetime(2021, 1, 1, 1, 1, 1, tzinfo=UTC)


def test_a_text_that_iptc_has_cut_off_is_taken_whole_from_xmp() -> None:
    packet = xmp(alternatives("dc:title", default="The whole title"))
    block = resources(iim((TITLE, b"The whole")), b"of another block")
    assert read(jpeg(xmp_packet=packet, photoshop=block)).title == "The whole title"


@pytest.mark.parametrize("text", ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "   ", "\0\0"])
def test_what_a_camera_writes_into_each_picture_is_no_caption(text: str) -> None:
    picture = read(jpeg(exif=tiff({DESCRIPTION: (ASCII, text)}), xmp_packet=XMP))
    assert picture.caption == "caption of XMP"
    said = [note for note in picture.notes if note.field == "description"]
    assert bool(said) == bool(text.strip(" \0"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Ångström".encode(), "Ångström"),
        ("Ångström".encode("latin-1"), "Ångström"),
        (b"caf\xe9 \x93quoted\x94", "café “quoted”"),
        ("東京".encode() + b"\0hidden", "東京"),
        (b"a\x07bell\r\nline", "abell\nline"),
    ],
)
def test_the_character_set_of_a_text_of_exif_is_found(data: bytes, text: str) -> None:
    assert read(jpeg(exif=tiff({DESCRIPTION: (ASCII, data)}))).caption == text


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"ASCII\0\0\0plain", "plain"),
        (b"ASCII\0\0\0" + "naïve".encode(), "naïve"),
        (b"\0" * 8 + b"no code", "no code"),
        (b"UNICODE\0" + "海辺 little".encode("utf-16-le"), "海辺 little"),
        (b"UNICODE\0" + "海辺 big".encode("utf-16-be"), "海辺 big"),
        (b"UNICODE\0" + "\ufeff海辺".encode("utf-16-be"), "海辺"),
        (b"JIS\0\0\0\0\0" + "海辺".encode("iso2022_jp"), "海辺"),
        (b"no code at all", "no code at all"),
        (b"ASCII\0\0\0" + b" " * 40, ""),
    ],
)
def test_the_character_set_of_a_comment_is_the_one_that_it_names(
    data: bytes, text: str, order: str
) -> None:
    exif = tiff({EXIF_POINTER: {COMMENT: (UNDEFINED, data)}}, order)
    assert read(jpeg(exif=exif)).caption == text


def test_the_fields_of_windows_are_utf_16_and_count_last() -> None:
    fields = {
        0x9C9B: (BYTE, "Título 東京\0".encode("utf-16-le")),
        0x9C9C: (BYTE, "комментарий\0".encode("utf-16-le")),
        0x9C9D: (BYTE, "عمر\0".encode("utf-16-le")),
        0x9C9E: (BYTE, "море;пляж ;море\0".encode("utf-16-le")),
    }
    picture = read(jpeg(exif=tiff(fields)))
    assert (picture.title, picture.caption) == ("Título 東京", "комментарий")
    assert (picture.author, picture.keywords) == ("عمر", ("море", "пляж"))
    both = read(jpeg(exif=tiff(fields), xmp_packet=XMP))
    assert (both.title, both.caption) == ("title of XMP", "caption of XMP")
    assert (both.author, both.keywords) == ("author of XMP", ("keyword of XMP",))


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (iim((CAPTION, "Ελλάδα".encode()), utf_8=True), "Ελλάδα"),
        (iim((CAPTION, "Ελλάδα".encode())), "Ελλάδα"),
        (iim((CAPTION, "Gruß".encode("latin-1"))), "Gruß"),
        (iim((CAPTION, "Gruß".encode("latin-1")), utf_8=True), "Gruß"),
    ],
    ids=["UTF-8 stated", "UTF-8", "Latin-1", "UTF-8 stated wrongly"],
)
def test_the_character_set_of_iptc_is_the_stated_one_or_found(block: bytes, text: str) -> None:
    assert read(jpeg(photoshop=resources(block))).caption == text


def test_tiff_has_all_three_in_its_directory() -> None:
    content = tiff(
        {
            0x100: (SHORT, 3),
            0x101: (SHORT, 2),
            0x2BC: (BYTE, xmp(alternatives("dc:title", default="title of XMP"))),
            0x83BB: (UNDEFINED, iim((KEYWORD, b"one"), (KEYWORD, b"two"))),
            ARTIST: (ASCII, "Ada; Grace"),
        }
    )
    picture = read(content)
    assert (picture.width, picture.height) == (3, 2)
    assert picture.title == "title of XMP"
    assert picture.keywords == ("one", "two")
    assert picture.author == "Ada; Grace"


@pytest.mark.parametrize("where", ["before", "after"])
def test_png_has_metadata_before_or_after_its_pixels(where: str) -> None:
    chunks = itxt("XML:com.adobe.xmp", XMP) + itxt("Author", b"author of PNG")
    picture = read(with_chunks(where, chunks))
    assert picture.title == "title of XMP"
    assert picture.author == "author of XMP"
    assert read(with_chunks(where, itxt("Author", "Ünal".encode()))).author == "Ünal"


def with_chunks(where: str, chunks: bytes) -> bytes:
    return png(chunks) if where == "before" else png(after=chunks)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON Z 8", "NIKON Z 8"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("Ricoh", "", "Ricoh"),
        ("", "X100V", "X100V"),
    ],
)
def test_the_camera_is_maker_and_model_without_the_maker_twice(
    make: str, model: str, camera: str
) -> None:
    exif = tiff({MAKE: (ASCII, make), MODEL: (ASCII, model)})
    assert read(jpeg(exif=exif)).camera == camera


@pytest.mark.parametrize(
    ("exif", "packet"),
    [
        (tiff({EXIF_POINTER: {0xA434: (ASCII, "RF50mm F1.2L")}}), None),
        (None, xmp("", 'exifEX:LensModel="RF50mm F1.2L" aux:Lens="other"')),
        (None, xmp("<aux:Lens>RF50mm F1.2L</aux:Lens>")),
    ],
)
def test_the_lens_is_that_of_exif_or_of_xmp(exif: bytes | None, packet: bytes | None) -> None:
    assert read(jpeg(exif=exif, xmp_packet=packet)).lens == "RF50mm F1.2L"


WHERE = {
    1: (ASCII, "S"),
    2: (RATIONAL, [(33, 1), (51, 1), (3000, 100)]),
    3: (ASCII, "W"),
    4: (RATIONAL, [(70, 1), (30, 1), (0, 1)]),
}


def test_a_position_is_read_only_if_it_is_asked_for() -> None:
    content = jpeg(exif=tiff({GPS_POINTER: WHERE}))
    assert read(content).position is None
    assert read(content).notes == ()
    found = read(content, gps=True).position
    assert found is not None
    assert found.latitude == pytest.approx(-33.858333)
    assert found.longitude == pytest.approx(-70.5)


def test_a_position_of_xmp_is_read_if_exif_has_none() -> None:
    packet = xmp("", 'exif:GPSLatitude="48,51.5N" exif:GPSLongitude="2,17,40E"')
    found = read(jpeg(xmp_packet=packet), gps=True).position
    assert found is not None
    assert found.latitude == pytest.approx(48.858333)
    assert found.longitude == pytest.approx(2.294444)


@pytest.mark.parametrize(
    "wrong",
    [
        {2: (RATIONAL, [(33, 0), (51, 1), (0, 1)])},
        {2: (RATIONAL, [(0, 0), (0, 0), (0, 0)])},
        {2: (RATIONAL, [(91, 1), (0, 1), (0, 1)])},
        {2: (ASCII, "33 51 30")},
        {2: (RATIONAL, [(0, 1)] * 3), 4: (RATIONAL, [(0, 1)] * 3)},
    ],
)
def test_a_wrong_position_is_none(wrong: dict[int, Any]) -> None:
    assert read(jpeg(exif=tiff({GPS_POINTER: WHERE | wrong})), gps=True).position is None


def test_a_picture_that_is_longer_than_is_read_has_no_checksum() -> None:
    content = jpeg(exif=tiff({DESCRIPTION: (ASCII, "Sunrise")}))
    picture = read(content + b"\0" * 4_000_000, most_bytes=2_000_000)
    assert (picture.checksum, picture.size_bytes) == (None, None)
    assert picture.caption == "Sunrise"
    assert notes(picture) == ["checksum: left out: longer than 2,000,000 bytes"]
    assert read(content, most_bytes=len(content)) == read(content)


def test_the_checksum_is_that_of_all_bytes_although_only_a_part_is_kept() -> None:
    content = jpeg(exif=tiff({DESCRIPTION: (ASCII, "Sunrise")})) + b"\1" * 3_000_000
    assert read(content, keep_bytes=1_000_000) == read(content)


def test_a_file_that_is_no_picture_is_not_read_to_its_end() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"%PDF-1.7" + b"\0" * 100_000

    with pytest.raises(NotAPictureError, match=r"^not a picture, but a PDF document$"):
        read_picture(endless(), PictureSettings(zone=UTC))
    assert taken == 1


def test_a_time_without_an_offset_is_one_of_the_zone_that_is_set() -> None:
    exif = tiff({EXIF_POINTER: {TAKEN: (ASCII, "2024:07:01 12:00:00")}})
    picture = read(jpeg(exif=exif), zone=ZoneInfo("Europe/Berlin"))
    assert picture.taken_at == datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    why = "the picture says no offset from UTC: its zone is taken as Europe/Berlin"
    assert picture.notes == (PictureNote("taken_at", why),)


def test_a_time_of_exif_has_the_offset_and_the_fraction_beside_it() -> None:
    photo = {
        TAKEN: (ASCII, "2024:07:01 12:00:00"),
        OFFSET: (ASCII, "-03:30"),
        FRACTION: (ASCII, "5 "),
    }
    picture = read(jpeg(exif=tiff({EXIF_POINTER: photo})))
    zone = timezone(-timedelta(hours=3, minutes=30))
    assert picture.taken_at == datetime(2024, 7, 1, 12, 0, 0, 500_000, tzinfo=zone)
    assert picture.notes == ()


def test_an_unusable_time_has_a_note_and_the_next_source_counts() -> None:
    exif = tiff({EXIF_POINTER: {TAKEN: (ASCII, "0000:00:00 00:00:00")}})
    assert notes(read(jpeg(exif=exif))) == ["taken_at: left out: '0000:00:00 00:00:00' is no time"]
    picture = read(jpeg(exif=exif, xmp_packet=XMP))
    assert picture.taken_at == datetime(2023, 3, 3, 3, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("svg", "size"),
    [
        ('width="10cm" height="5cm"', (378, 189)),
        ('width="100%" height="100%" viewBox="0 0 300.4 150"', (300, 150)),
        ('viewBox="0,0,30,20"', (30, 20)),
        ('width="60" viewBox="0 0 30 20"', (60, 40)),
        ('height="60px" viewBox="0 0 30 20"', (90, 60)),
        ('width="1in" height="72pt"', (96, 96)),
        ("", (None, None)),
        ('width="1e99" height="-3"', (None, None)),
        ('viewBox="0 0 NaN x"', (None, None)),
    ],
)
def test_the_size_of_svg_follows_from_its_lengths_or_its_box(
    svg: str, size: tuple[int | None, int | None]
) -> None:
    text = f'<svg xmlns="http://www.w3.org/2000/svg" {svg}><title>A &lt; B</title><g/></svg>'
    picture = read(text.encode())
    assert (picture.width, picture.height) == size
    assert picture.title == "A < B"
    assert bool(picture.notes) == (None in size)


def test_svg_with_a_document_type_is_read() -> None:
    text = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"'
        ' "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><!-- drawn -->'
        '<svg:svg xmlns:svg="http://www.w3.org/2000/svg" width="4" height="2"/>'
    )
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        picture = read(text.encode(encoding))
        assert (picture.width, picture.height) == (4, 2)
