"""The process that draws gets no credentials and has limits; how it ends says what was wrong."""

import resource
import signal
import subprocess
import sys
import tempfile

import pytest

from lockstep.make_thumbnails.outcome import DRAWN_BYTES, MEMORY_BYTES, SECONDS, Drawn, NotDrawn
from lockstep.make_thumbnails.sandbox import DrawingStoppedError, draw_in_sandbox
from tests.made_pictures import encoded

INSTEAD = "tests.unit.pictures.sandboxed"


def ending(how: str) -> Drawn | NotDrawn:
    with tempfile.TemporaryFile() as file:
        file.write(how.encode())
        file.flush()
        return draw_in_sandbox(file, module=INSTEAD)


def test_a_picture_is_drawn_wherever_its_file_stands() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(encoded("PNG", (640, 480)))
        found = draw_in_sandbox(file)
    assert isinstance(found, Drawn)
    assert {side: one[8:12] for side, one in found.by_side.items()} == {320: b"WEBP", 1600: b"WEBP"}


def test_what_is_no_picture_is_refused_in_words() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"%PDF-1.7")
        assert draw_in_sandbox(file) == NotDrawn("not a picture, but a PDF document")


def test_the_process_knows_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = ending("environment")
    assert isinstance(found, NotDrawn)
    assert set(found.reason.split()) - {"LC_CTYPE"} == {"MALLOC_ARENA_MAX", "PATH", "PYTHONPATH"}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("memory", "drawing it takes more than 1,200 MiB of memory"),
        (str(signal.SIGXCPU.value), "drawing it takes more than 10 s"),
        (str(signal.SIGABRT.value), "the library that decodes it fails"),
        (str(signal.SIGSEGV.value), "the library that decodes it fails"),
        ("noise", "the library that decodes it fails"),
    ],
)
def test_each_end_of_the_process_is_a_reason(how: str, reason: str) -> None:
    assert ending(how) == NotDrawn(reason)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_was_stopped_says_nothing_about_the_picture(stop: signal.Signals) -> None:
    with pytest.raises(DrawingStoppedError, match=stop.name):
        ending(str(stop.value))


def test_the_process_limits_itself_before_it_decodes() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys, resource\n"
                "from lockstep.make_thumbnails.child import limit_this_process\n"
                "assert 'PIL' not in sys.modules\n"
                "limit_this_process()\n"
                "print(*(resource.getrlimit(getattr(resource, f'RLIMIT_{kind}'))[0]\n"
                "        for kind in ('AS', 'CPU', 'FSIZE', 'CORE')))"
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split() == [str(most) for most in (MEMORY_BYTES, SECONDS, DRAWN_BYTES, 0)]
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] != SECONDS  # this process has no limit
