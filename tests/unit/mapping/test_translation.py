"""The cache of translated templates: the same translation, and never one of something else."""

from pathlib import Path
from unittest.mock import ANY

import msgspec
import pytest

from lockstep.local.mapping.intrinsics import TemplateError
from lockstep.local.mapping.translation import KEPT, translated

PROJECT = Path(__file__).parents[3]
SMALL = "Resources: {Made: {Type: AWS::S3::Bucket, Properties: {Tags: [{Key: a, Value: %s}]}}}"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    file = tmp_path / "template.yaml"
    file.write_text(SMALL % "b")
    return file


def test_a_translation_from_the_cache_is_the_same(tmp_path: Path) -> None:
    template = PROJECT / "template.yaml"
    first, again = (translated(template, "eu-west-1", tmp_path) for _ in range(2))
    assert first == again == translated(template, "eu-west-1")
    assert first["Resources"]["WriteToEs"]["Type"] == "AWS::Lambda::Function"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_translation_in_the_cache_is_used(template: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    translated(template, "eu-west-1", cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(msgspec.json.encode({"Resources": "from the cache"}))
    assert translated(template, "eu-west-1", cache) == {"Resources": "from the cache"}


def test_another_template_and_another_region_are_translated(template: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    translated(template, "eu-west-1", cache)
    translated(template, "us-east-1", cache)
    template.write_text(SMALL % "c")
    changed = translated(template, "eu-west-1", cache)
    assert changed["Resources"]["Made"]["Properties"]["Tags"] == [{"Key": "a", "Value": "c"}]
    assert len(list(cache.iterdir())) == 3


def test_a_damaged_cache_is_replaced_and_one_that_cannot_be_written_is_not_needed(
    template: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    good = translated(template, "eu-west-1", cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert translated(template, "eu-west-1", cache) == good
    assert msgspec.json.decode(kept.read_bytes()) == good
    no_folder = tmp_path / "file"
    no_folder.touch()
    assert translated(template, "eu-west-1", no_folder / "cache") == good


def test_a_template_that_cannot_be_used_is_refused_each_time(
    template: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    template.write_text("Resources: {")
    for _ in range(2):
        with pytest.raises(TemplateError, match=r"template\.yaml"):
            translated(template, "eu-west-1", cache)
    template.unlink()
    with pytest.raises(TemplateError, match="cannot be read"):
        translated(template, "eu-west-1", cache)
    assert not cache.exists()


def test_a_cache_keeps_the_newest_translations(template: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for n in range(KEPT + 1):
        (cache / f"{n}.json").write_text("{}")
    translated(template, "eu-west-1", cache)
    assert len(list(cache.iterdir())) == KEPT
    assert translated(template, "eu-west-1", cache) == {"Resources": {"Made": ANY}}
