"""A folder of photographs: one command, and both stores have them; also if it is killed."""

import datetime as dt
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import urllib3
from opensearchpy.exceptions import ConnectionTimeout

from functions.search_images.picture_links import LINK_SECONDS, PictureAddresses, PictureLinks
from functions.search_images.presigned import SigningKeys
from lockstep.stack.clients import LOCAL_CREDENTIALS, Clients
from lockstep.stack.sam import env_vars
from lockstep.stack.stack import Stack, read_local
from lockstep.stack.use_cases.search import search, search_request
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import TrimHorizon
from shared.event import Event
from shared.picture_ids import PREFIX, id_of_key
from tests.flow.shell import Shell
from tests.generated_pictures import write_pictures

KILLS = 5


@pytest.fixture(scope="session")
def stack(shell: Shell) -> Stack:
    return read_local(shell.state)


@pytest.fixture(scope="session")
def count(pytestconfig: pytest.Config) -> int:
    pictures: int = pytestconfig.getoption("--pictures")
    return pictures


def _all_equal(shell: Shell) -> None:
    assert shell.json("status", "--wait", "900")["caught_up"] is True
    audit = shell.json("audit")
    assert (audit["result"], audit["differences"]) == ("equal", {})


def _found(stack: Stack, captions: Mapping[str, str]) -> None:
    clients = Clients(stack)
    for path, caption in captions.items():
        assert _first(clients, caption) == id_of_key(path), caption


def _first(clients: Clients, caption: str) -> str:
    """The first image found. The index of a busy machine may be silent for a while."""
    while True:
        with suppress(ConnectionTimeout):
            return search(clients, search_request(caption)).result.hits[0].image_id


@pytest.mark.timeout(0)
def test_a_folder_is_one_command_and_each_picture_is_found_by_its_caption(
    shell: Shell, stack: Stack, count: int, tmp_path: Path, told: Callable[[str], None]
) -> None:
    captions = write_pictures(tmp_path, count, "whole")
    answer = shell.json("upload", str(tmp_path), "--tag", "whole")
    assert (answer["uploaded"], answer["refused"]) == (count, [])
    assert [one["image_id"] for one in answer["pictures"]] == [
        id_of_key(path) for path in sorted(captions)
    ]
    _all_equal(shell)
    _found(stack, captions)
    again = shell.json("upload", str(tmp_path), "--tag", "whole")
    assert (again["unchanged"], again["uploaded"], again["event_put"]) == (count, 0, 0)
    told(f"{count:,} pictures: {answer['seconds']:.1f} s; again: {again['seconds']:.1f} s")


def test_the_stack_refuses_a_link_to_a_picture_that_has_expired(
    shell: Shell, stack: Stack, tmp_path: Path
) -> None:
    (path,) = write_pictures(tmp_path / "linked", 1, "linked")
    (sent,) = shell.json("upload", str(tmp_path))["pictures"]
    now = dt.datetime.now(dt.UTC)
    environment = env_vars(stack)["SearchImages"]
    links = {
        late: PictureLinks(
            PictureAddresses(
                environment["PICTURE_BUCKET"],
                environment["PICTURES_ENDPOINT"],
                environment["THUMBNAILS_ENDPOINT"],
                stack.region,
            ),
            lambda: SigningKeys(LOCAL_CREDENTIALS, LOCAL_CREDENTIALS),
            lambda late=late: now - dt.timedelta(seconds=late),  # type: ignore[misc]
        ).original(sent["image_id"], f"s3://{environment['PICTURE_BUCKET']}/{PREFIX}linked/{path}")
        for late in (0, LINK_SECONDS + 1)
    }
    assert [urllib3.request("GET", str(link)).status for link in links.values()] == [200, 403]


@pytest.mark.timeout(0)  # as long as it takes for `--pictures`
def test_an_upload_that_is_killed_again_and_again_ends_the_same(
    shell: Shell, stack: Stack, count: int, tmp_path: Path, told: Callable[[str], None]
) -> None:
    captions = {
        f"killed/{path}": caption
        for path, caption in write_pictures(tmp_path / "killed", count, "killed").items()
    }
    chance = random.Random(count)
    bucket = _Objects(stack, captions)
    whole: Mapping[str, object] = {}
    reached: list[int] = []
    for _ in range(KILLS):
        wanted = len(whole) + chance.randint(1, max(1, count // KILLS))
        upload = shell.start("upload", str(tmp_path))
        while len(bucket.whole()) < wanted and upload.poll() is None:
            time.sleep(chance.random() / 10)
        upload.kill()
        upload.communicate()
        found = bucket.whole()
        assert {key: found.get(key) for key in whole} == whole
        whole = found
        reached.append(len(whole))
    answer = shell.json("upload", str(tmp_path))
    assert answer["refused"] == []
    assert answer["uploaded"] == count - len(whole)
    found = bucket.whole()
    assert found.keys() == {PREFIX + path for path in captions}
    assert {key: found[key] for key in whole} == whole
    versions = _versions(stack, map(id_of_key, captions))
    assert len(versions) == count
    assert {len(of_one) for of_one in versions.values()} == {1}
    _all_equal(shell)
    _found(stack, captions)
    told(f"{count:,} pictures, killed when {reached} of them were stored: nothing sent twice")


class _Objects:
    """The files in which the local S3 keeps the objects of some keys."""

    def __init__(self, stack: Stack, paths: Iterable[str]) -> None:
        assert stack.state is not None
        assert stack.pictures is not None
        self._folder = Path(stack.state) / "s3" / "objects" / stack.pictures.bucket
        self._keys = [PREFIX + path for path in paths]

    def whole(self) -> Mapping[str, object]:
        """The file and its time, of each key that has an object; another upload changes both."""
        found: dict[str, object] = {}
        for key in self._keys:
            try:
                stat = (self._folder / key).stat()
            except FileNotFoundError:
                continue
            found[key] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        return found


def _versions(stack: Stack, image_ids: Iterable[str]) -> Mapping[str, set[int]]:
    """The versions of the events of each of these images."""
    wanted = {*image_ids}
    stream = KinesisStream(Clients(stack).kinesis, stack.stream)
    found: defaultdict[str, set[int]] = defaultdict(set)
    for shard in stream.shards():
        reader = stream.reader(shard.shard_id, TrimHorizon())
        while (read := reader.read(10_000)).records:
            for record in read.records:
                event = msgspec.json.decode(record.data, type=Event)
                if event.image_id in wanted:
                    found[event.image_id].add(event.version)
    return found


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line: how much was tried is part of the result."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201

    return tell
