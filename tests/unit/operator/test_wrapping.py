"""On a terminal, lines are wrapped between words; in a pipe, they are not wrapped."""

import io
import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest
from rich.text import Text

from lockstep.console.wrapping import ShortenedCell, TableCell, WrappingConsole, wrapped

URI = "s3://bucket/prefix/AWSDynamoDB/01795248000123-45c1a9f8"


@pytest.mark.parametrize(
    ("line", "width", "lines"),
    [
        ("the index does not answer", 14, ["the index does", "not answer"]),
        ("the index does not answer", 80, ["the index does not answer"]),
        ("  and write_to_es: lag 5 s", 20, ["  and write_to_es:", "  lag 5 s"]),
        (f"export {URI} is old", 20, ["export", URI, "is old"]),
        (URI, 20, [URI]),
        (f"  {URI}", 20, [f"  {URI}"]),
        ("a  b", 3, ["a", "b"]),
        ("one two\nthree four", 8, ["one two", "three", "four"]),
        ("東京 夜景", 4, ["東京", "夜景"]),
        ("", 4, [""]),
        ("     ", 4, [""]),
    ],
)
def test_no_word_is_broken(line: str, width: int, lines: list[str]) -> None:
    assert wrapped(Text(line), width).plain.split("\n") == lines


@pytest.mark.parametrize(
    ("line", "width", "lines"),
    [
        ("the index does not answer", 14, ["the index does", "not answer"]),
        (URI, 24, ["s3://bucket/prefix/", "AWSDynamoDB/", "01795248000123-45c1a9f8"]),
        (
            f"at {URI}",
            15,
            ["at s3://bucket/", "prefix/", "AWSDynamoDB/", "01795248000123-", "45c1a9f8"],
        ),
        ("0123456789", 4, ["0123", "4567", "89"]),
        ("東京タワー", 4, ["東京", "タワ", "ー"]),
        ('["a","River Thames"]', 11, ['["a","River', 'Thames"]']),
    ],
)
def test_in_a_column_a_longer_word_is_broken_after_a_separator(
    line: str, width: int, lines: list[str]
) -> None:
    assert TableCell(Text(line)).within(width).plain.split("\n") == lines


@pytest.mark.parametrize(
    ("width", "shown"), [(16, "0123456789abcdef"), (15, "0123456…9abcdef"), (4, "01…f")]
)
def test_of_a_digest_both_ends_are_shown_if_the_column_is_narrow(width: int, shown: str) -> None:
    assert ShortenedCell(Text("0123456789abcdef")).within(width).plain == shown


def test_styles_stay_with_their_words() -> None:
    text = wrapped(Text.assemble("a search for ", ("Thames", "bold"), " finds it"), 12)
    assert text.plain == "a search for\nThames finds\nit"
    assert [(text.plain[one.start : one.end], one.style) for one in text.spans if one.style] == [
        ("Thames", "bold")
    ]


def test_what_is_piped_keeps_its_lines() -> None:
    written = io.StringIO()
    WrappingConsole(file=written, width=20, soft_wrap=True).print("x " * 50)
    assert written.getvalue() == f"{'x ' * 50}\n"


def typed(words: list[str], columns: int) -> str:
    """What a person sees who types this in a terminal of so many columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {
        name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += (more := os.read(ours, 65_536))
        except OSError:  # Linux: the other end is closed
            break
        if not more:
            break
    process.wait()
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_an_error_is_wrapped_for_a_person_and_one_line_for_a_program(tmp_path: Path) -> None:
    state = tmp_path / "none"
    words = ["status", "--state", str(state)]
    piped = subprocess.run(
        [sys.executable, "-m", "lockstep", *words], capture_output=True, text=True, check=False
    )
    (line,) = [one for one in piped.stderr.splitlines() if one.startswith("Error: ")]
    assert len(line) > 60
    shown = typed(words, 60)
    assert " ".join(shown.split()) == " ".join(piped.stderr.split())
    assert all(len(one) <= 60 or " " not in one.strip() for one in shown.splitlines())
