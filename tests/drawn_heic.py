"""HEIC files with pixels. Nothing here writes H.265, so the one frame in them was made before.

It is a picture of 512 x 512 pixels: red grows downwards, green to the right, blue upwards. Larger
pictures are grids of it, which is also how telephones store theirs.
"""

import base64
import struct

from tests.made_pictures import box, full_box

FRAME = 512
_SETTINGS = base64.b64decode(
    "AQNwAAAAkAAAAAAAWvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAWroCQGEAAQArQgEBA3AAAAMAkAAA"
    "AwAAAwBaoAQCAIBZbqSSmubgIaDAgAAADIAAAAMAhGIAAQAHRAHBcrBiQA=="
)
_PIXELS = base64.b64decode(
    "AAACzygBrwtECJJSWE5LT0uA+sallseNbOl3sNxdwGcOGLL1OHKe+ugSIzV2YEm1V89BN43earz7ab8XwqH3obPqQAUm"
    "FgWjUOQfIuyKEozk3ELmvTo8JtvX+4DR/i+eBltUb7FVJYWek3OuLN7aWkL656Xj90ZhUB+hCCAYy2Gm/AMBUUnN9eeY"
    "vahArJFtTuag2XAEqQpOU+SYnPq/mk00E5s40Ro4qotBciw/CQ3tXSdI5DI3L2GS7jvvwjB6utfQ8BBYy23fE+afIDD4"
    "FP1CTQPMxYKsgUJxHggl2jQwUJ/ynotoaYf9aQ77WkkJoviH7DC6koC78MGxK4GniGUwIzvUxEUlyvFprkZRB/M4cwo3"
    "SQTKAWAEV2w6jb8weuy7El8D3Djg0LU3MCQIAqljWeAZCckBS/pB2Z0QjalHVR8iYRKqdEBqMlxPQfwYgNQFafRDcj0s"
    "zLj9OY3SYMOY+x+x/g00w4f6iRP5w3JuCcX9GZKZTLefUBoKcCn3DMiOZp3dIpFRSo9eIMzA96dNZSg9xGR17M1g0u6H"
    "q1Jh1TkSZB68EkDZp4YbKffT1VGXtD1ODNmHXMe2LZrHjFMFcd5uccizzelsEGfvTiygXNksHCkR9NlhR77BGrl0nYqG"
    "gfZpuMlsbP04WPidjlxjhdC2B2tjhnfJCoOpACQR/1obdA5EQxk1a2NNVglcX1KqrqGNBugUrnGUhT8hT301WUjSV0g9"
    "oe8zOIgEe44isKCOk7XJU5I8q0B38wqUFQwr8j5pSVL+4H0ofrG8lM90w5Sc+cPIvlXXfXYQ2wgAENIPwd/IXyrWrr94"
    "dxAr6KxV4RzRulJ0A/HP04FDcIOIpr2h58aAhEdvwwrTA3qPcRYCHkehgdp+SGjdMwDlwbBOhzyluXgI6GvruDuWqU4g"
    "36RG9bh1GXghcrGUCBXw59iGPIPbYErrvu8o/dXIN3AC"
)


def heic_of_pixels(
    size: tuple[int, int] = (FRAME, FRAME), *, quarter_turns: int = 0, exif: bytes = b""
) -> bytes:
    """A picture of any size, before it is turned counter-clockwise."""
    columns, rows = (-(-side // FRAME) for side in size)
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    tiles = range(3, 3 + columns * rows)
    kinds = [(1, b"grid"), *([(2, b"Exif")] if exif else []), *((tile, b"hvc1") for tile in tiles)]
    entries = b"".join(
        full_box(b"infe", struct.pack(">HH", number, 0) + kind + b"\0", 2) for number, kind in kinds
    )
    references = box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *tiles))
    if exif:
        references += box(b"cdsc", struct.pack(">HHH", 2, 1, 1))
    properties = (
        full_box(b"ispe", struct.pack(">LL", *size))
        + full_box(b"ispe", struct.pack(">LL", FRAME, FRAME))
        + box(b"hvcC", _SETTINGS)
        + box(b"irot", bytes([quarter_turns]))
    )
    associations = struct.pack(">LHBBB", 1 + len(tiles), 1, 2, 1, 0x84)
    associations += b"".join(struct.pack(">HBBB", tile, 2, 2, 0x83) for tile in tiles)
    contents = {1: grid, 2: b"\0\0\0\0" + exif, 3: _PIXELS}

    def meta(start: int) -> bytes:
        at = {
            number: start + sum(map(len, list(contents.values())[: number - 1]))
            for number in contents
        }
        places = b"".join(
            # All tiles are the same frame.
            struct.pack(">HHHLL", number, 0, 1, at[min(number, 3)], len(contents[min(number, 3)]))
            for number, _ in kinds
        )
        return full_box(
            b"meta",
            full_box(b"hdlr", b"\0\0\0\0pict" + b"\0" * 13)
            + full_box(b"pitm", struct.pack(">H", 1))
            + full_box(b"iinf", struct.pack(">H", len(kinds)) + entries)
            + full_box(b"iref", references)
            + box(b"iprp", box(b"ipco", properties) + full_box(b"ipma", associations))
            + full_box(b"iloc", b"\x44\0" + struct.pack(">H", len(kinds)) + places),
        )

    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", b"".join(contents.values()))
