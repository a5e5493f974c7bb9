"""`lockstep upload` on the real engines: bucket, table of rows, image table and stream."""

import hashlib
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from msgspec import UNSET
from PIL import Image as Pixels

from lockstep.pictures.bucket.rows import PictureRows, salt_of
from lockstep.pictures.bucket.transfer import PART_BYTES
from lockstep.pictures.folder import FileFilter
from lockstep.pictures.upload.files import FileToSend, files_to_send
from lockstep.pictures.upload.outcomes import SentPicture
from lockstep.pictures.upload.wish import UploadWish
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack, write_local
from lockstep.stack.use_cases.upload import upload
from shared.event import Event, Image
from shared.picture_ids import PREFIX
from tests.contract.pictures.conftest import Place, picture
from tests.hostile_pictures.measured import CASES
from tests.unit.operator.command import assert_one_line, lockstep

NO_ONE = "http://127.0.0.1:1"


class Uploads:
    """The command on one place, and a folder of files."""

    def __init__(self, place: Place, stack: Stack, folder: Path, state: Path) -> None:
        self.place, self.stack, self.folder, self.state = place, stack, folder, state
        write_local(stack, state)

    def file(self, path: str, content: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def run(self, *words: object) -> Result:
        return lockstep("upload", self.folder, *words, "--state", self.state)

    def answer(self, *words: object, code: int = 0) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == code, result.output
        return msgspec.json.decode(result.stdout)

    def ends(self, *words: object, code: int = 0) -> dict[str, str]:
        """What became of each file, by its path: its end, or why it is refused."""
        answer = self.answer(*words, code=code)
        ended = {one["file"]: one["end"] for one in answer["pictures"]}
        ended |= {one["file"]: one["reason"] for one in answer["refused"]}
        return {str(Path(file).relative_to(self.folder)): end for file, end in ended.items()}

    def keys(self) -> set[str]:
        listed = self.place.s3.list_objects_v2(Bucket=self.place.name).get("Contents", [])
        return {one["Key"].removeprefix(PREFIX) for one in listed}

    def images(self) -> dict[str, Image]:
        """The image of each id, after all events."""
        found: dict[str, Image] = {}
        for event in self.place.events():
            assert isinstance(event.image, Image)
            found[event.image_id] = event.image
        return found

    def without(self, service: str) -> None:
        """Let nothing answer for a service from now on; an empty name: let all answer again."""
        at = self.stack.endpoints
        if service:
            at = msgspec.structs.replace(at, **{service: NO_ONE})
        write_local(msgspec.structs.replace(self.stack, endpoints=at), self.state)


@pytest.fixture
def uploads(
    place: Place,
    kinesis_endpoint: str,
    dynamodb_endpoint: str,
    s3_endpoint: str,
    tmp_path: Path,
) -> Uploads:
    stack = Stack(
        Endpoints(kinesis_endpoint, dynamodb_endpoint, NO_ONE, s3_endpoint),
        stream=place.name,
        table=place.images,
        index="none",
        bucket="none",
        region=LOCAL_REGION,
        functions={},
        state=str(tmp_path / "state"),
        pictures=PictureStores(place.name, place.rows),
    )
    (tmp_path / "state").mkdir()
    (tmp_path / "folder").mkdir()
    return Uploads(place, stack, tmp_path / "folder", tmp_path / "state")


def test_a_folder_is_uploaded_and_a_second_time_nothing_is_sent(uploads: Uploads) -> None:
    content = picture("red", "Sunset at sea")
    uploads.file("sea.jpg", content)
    uploads.file("2024/été/plage.jpg", picture("blue"))
    assert uploads.ends() == {"sea.jpg": "uploaded", "2024/été/plage.jpg": "uploaded"}
    assert uploads.keys() == {"sea.jpg", "2024/été/plage.jpg"}
    before = uploads.place.events()
    assert [event.type for event in before] == ["image.uploaded"] * 2
    image = uploads.images()["sea.jpg"]
    assert (image.name, image.width, image.height) == ("Sunset at sea", 8, 6)
    assert image.url == f"s3://{uploads.place.name}/{PREFIX}sea.jpg"
    assert image.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert uploads.ends() == {"sea.jpg": "unchanged", "2024/été/plage.jpg": "unchanged"}
    assert uploads.place.events() == before
    head = uploads.place.s3.head_object(Bucket=uploads.place.name, Key=f"{PREFIX}sea.jpg")
    assert head["ContentType"] == "image/jpeg"


def test_the_text_says_how_many_and_names_the_stack_first(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    uploads.file("notes.txt", b"hello")
    result = uploads.run()
    assert result.exit_code == 1
    assert "1 uploaded, 0 unchanged, 1 refused, " in result.stdout
    first, second = result.stderr.splitlines()
    assert first == f"local stack {uploads.state}"
    assert second.startswith(f"{uploads.folder}/notes.txt: not_a_picture: no picture that is read")


def test_an_object_is_not_read_again_for_its_event(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    clients = Clients(uploads.stack)
    asked: list[str] = []
    clients.s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    (sent,) = upload(clients, _listed(uploads), UploadWish(rule="path"))
    assert isinstance(sent, SentPicture)
    assert asked == ["HeadObject", "PutObject", "HeadObject"]


def _listed(uploads: Uploads) -> list[FileToSend]:
    found = files_to_send([uploads.folder], FileFilter(), "path")
    return [one for one in found if isinstance(one, FileToSend)]


def test_tags_and_attributes_are_given_and_changed_and_stay(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    uploads.run("--tag", "holiday", "--attribute", "licence=CC0")
    assert uploads.ends() == {"sea.jpg": "unchanged"}
    assert uploads.ends("--tag", "work") == {"sea.jpg": "event_put"}
    assert uploads.ends("--tag", "work", "--dry-run") == {"sea.jpg": "unchanged"}
    first, second = (event.image for event in uploads.place.events())
    assert isinstance(first, Image)
    assert isinstance(second, Image)
    assert (first.tags, first.attributes) == (("holiday",), {"licence": "CC0"})
    assert (second.tags, second.attributes) == (("work",), UNSET)


def test_the_position_is_read_on_request_even_if_the_event_is_there(uploads: Uploads) -> None:
    exif = Pixels.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (11.0, 0.0, 0.0)}
    exif[0x8769] = {0x9003: "2024:07:01 12:00:00"}
    out = io.BytesIO()
    Pixels.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    uploads.file("alps.jpg", out.getvalue())
    uploads.run()
    assert uploads.images()["alps.jpg"].attributes is UNSET
    assert uploads.ends("--gps", "--zone", "Europe/Berlin") == {"alps.jpg": "event_put"}
    image = uploads.images()["alps.jpg"]
    assert image.attributes == {"latitude": "48.500000", "longitude": "11.000000"}
    assert str(image.taken_at) == "2024-07-01 12:00:00+02:00"


def test_another_picture_of_the_same_id_is_refused_with_both_names(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture("red", "First"))
    uploads.run()
    uploads.file("sea.jpg", picture("blue", "Second"))
    (refused,) = uploads.answer(code=1)["refused"]
    assert refused["reason"] == "other_content"
    assert refused["file"] == f"{uploads.folder}/sea.jpg"
    assert f"s3://{uploads.place.name}/{PREFIX}sea.jpg" in refused["detail"]
    assert "image, sea.jpg" in refused["detail"]
    assert uploads.images()["sea.jpg"].name == "First"
    assert uploads.ends("--replace", "--dry-run") == {"sea.jpg": "replaced"}
    assert uploads.images()["sea.jpg"].name == "First"
    assert uploads.ends("--replace") == {"sea.jpg": "replaced"}
    assert uploads.images()["sea.jpg"].name == "Second"
    assert [event.type for event in uploads.place.events()] == ["image.uploaded", "image.updated"]


def test_by_name_a_second_file_is_refused_before_anything_is_sent(uploads: Uploads) -> None:
    uploads.file("a/sea.jpg", picture("red"))
    uploads.file("b/sea.jpg", picture("blue"))
    uploads.without("s3")
    result = uploads.run("--id-from", "name")
    assert_one_line(result, "does not answer")
    named = f"{uploads.folder}/b/sea.jpg and {uploads.folder}/a/sea.jpg would both be the image"
    assert named in result.stderr
    uploads.without("")
    found = uploads.ends("--id-from", "name", code=1)
    assert found == {"a/sea.jpg": "uploaded", "b/sea.jpg": "same_id"}


def test_by_checksum_a_content_is_one_image_with_the_name_of_its_file(uploads: Uploads) -> None:
    content = picture("red")
    uploads.file("a/sea.jpg", content)
    uploads.file("b/copy.jpg", content)
    found = uploads.ends("--id-from", "checksum", code=1)
    assert found == {"a/sea.jpg": "uploaded", "b/copy.jpg": "same_id"}
    assert uploads.keys() == {f"{hashlib.sha256(content).hexdigest()}.jpg"}
    (image,) = uploads.images().values()
    assert image.name == "sea"
    found = uploads.ends("--id-from", "checksum", code=1)
    assert found == {"a/sea.jpg": "unchanged", "b/copy.jpg": "same_id"}


def test_a_dry_run_changes_nothing_and_says_what_would_be_done(uploads: Uploads) -> None:
    uploads.file("old.jpg", picture("red"))
    uploads.run()
    uploads.file("new.jpg", picture("blue"))
    rows = len(uploads.place.stored_rows())
    result = uploads.run("--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        f"{uploads.folder}/new.jpg: would be uploaded, as image new.jpg",
        f"{uploads.folder}/old.jpg: unchanged, as image old.jpg",
    ]
    assert "nothing is changed" in result.stdout
    assert uploads.keys() == {"old.jpg"}
    assert len(uploads.place.stored_rows()) == rows
    assert uploads.images().keys() == {"old.jpg"}


def test_what_was_stored_without_an_event_gets_it_the_next_time(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    uploads.without("kinesis")
    result = uploads.run()
    assert_one_line(result, "does not answer")
    assert "not finished: 0 uploaded" in result.stderr
    assert uploads.keys() == {"sea.jpg"}
    uploads.without("")
    assert uploads.ends("--dry-run") == {"sea.jpg": "event_put"}
    assert uploads.ends() == {"sea.jpg": "event_put"}
    assert uploads.images().keys() == {"sea.jpg"}


def test_an_object_of_another_program_gets_its_event_too(uploads: Uploads) -> None:
    content = picture("red", "From elsewhere")
    uploads.place.upload("sea.jpg", content)
    uploads.file("sea.jpg", content)
    assert uploads.ends() == {"sea.jpg": "event_put"}
    assert uploads.images()["sea.jpg"].name == "From elsewhere"


def test_an_error_ends_the_upload_and_the_json_says_why(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    uploads.without("kinesis")
    answer = uploads.answer(code=2)
    assert answer["uploaded"] == 0
    assert "Could not connect" in answer["error"]


def test_an_image_whose_source_counts_its_versions_is_refused_before_it_is_stored(
    uploads: Uploads,
) -> None:
    uploads.place.dynamodb.put_item(
        TableName=uploads.place.images,
        Item={"image_id": {"S": "sea.jpg"}, "version": {"N": "7"}},
    )
    uploads.file("sea.jpg", picture())
    assert uploads.ends(code=1) == {"sea.jpg": "counted_version"}
    assert uploads.keys() == set()


def test_a_large_file_goes_in_parts_and_its_event_has_the_checksum_of_the_whole(
    uploads: Uploads,
) -> None:
    content = picture("red", "Large") + b"\0" * (2 * PART_BYTES)
    uploads.file("large.jpg", content)
    assert uploads.ends() == {"large.jpg": "uploaded"}
    image = uploads.images()["large.jpg"]
    assert image.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert image.size_bytes == len(content)
    head = uploads.place.s3.head_object(Bucket=uploads.place.name, Key=f"{PREFIX}large.jpg")
    assert head["ETag"].endswith('-3"')
    assert uploads.ends() == {"large.jpg": "unchanged"}


def test_who_overwrites_it_meanwhile_has_the_last_event(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture("red", "Ours"))
    clients = Clients(uploads.stack)
    theirs = picture("blue", "Theirs")

    def overwrite(model: Any, **_: Any) -> None:
        if model.name == "PutObject":
            uploads.place.upload("sea.jpg", theirs)

    clients.s3.meta.events.register("after-call.s3.PutObject", overwrite)
    (sent,) = upload(clients, _listed(uploads), UploadWish(rule="path"))
    assert isinstance(sent, SentPicture)
    assert uploads.images()["sea.jpg"].name == "Theirs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--attribute", "licence"], "write NAME=VALUE"),
        (["--attribute", "a=1", "--attribute", "a=2"], "a is given twice"),
        (["--attribute", "1 2=x"], "attributes"),
        (["--tag", "x" * 9_000], "tags"),
        (["--zone", "Mars/Olympus"], "'Mars/Olympus' is no time zone"),
        (["--jobs", "0"], "0 is not in the range"),
    ],
)
def test_what_is_given_wrongly_is_one_line(uploads: Uploads, words: list[str], said: str) -> None:
    uploads.file("sea.jpg", picture())
    assert_one_line(uploads.run(*words), said)
    assert uploads.keys() == set()


def test_an_empty_folder_is_said(uploads: Uploads) -> None:
    result = uploads.run()
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no file to upload" in result.stderr


def test_a_stack_without_a_picture_bucket_says_how_to_get_one(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    write_local(msgspec.structs.replace(uploads.stack, pictures=None), uploads.state)
    assert_one_line(uploads.run(), "has no picture bucket: restart it")


def test_the_progress_adds_up_to_all_bytes(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture("red"))
    uploads.file("notes.txt", b"hello")
    for _ in range(2):
        told: list[int] = []
        files = _listed(uploads)
        ends = list(upload(Clients(uploads.stack), files, UploadWish(rule="path"), told.append))
        assert len(ends) == 2
        assert sum(told) == sum(file.size_bytes for file in files)


def test_each_hostile_file_is_one_line_and_the_rest_goes_on(uploads: Uploads) -> None:
    written = 0
    for at, case in enumerate(CASES):
        content = case.make()
        if isinstance(content, bytes) and len(content) < 1_000_000:
            uploads.file(f"{at:03}", content)
            written += 1
    uploads.file("zz-good.jpg", picture("red", "Good"))
    answer = uploads.answer(code=1)
    assert len(answer["pictures"]) + len(answer["refused"]) == written + 1
    assert written > 60
    assert {one["reason"] for one in answer["refused"]} == {"not_a_picture"}
    assert all("\n" not in one["detail"] for one in answer["refused"])
    assert answer["pictures"][-1]["image_id"] == "zz-good.jpg"
    assert uploads.keys() == {one["key"].removeprefix(PREFIX) for one in answer["pictures"]}


def test_a_row_is_that_of_the_function(uploads: Uploads) -> None:
    uploads.file("sea.jpg", picture())
    uploads.run()
    place = uploads.place
    row = PictureRows(place.dynamodb, place.rows, salt_of(place.dynamodb, place.rows)).read(
        "sea.jpg"
    )
    assert row is not None
    assert row.shown
    (event,) = place.events()
    assert isinstance(event, Event)
    assert row.version == event.version
