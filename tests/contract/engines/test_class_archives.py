"""Engines start from archives of their classes, which are made once."""

from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.local.engines.class_archives import archive_classes, engine_on_free_ports
from lockstep.local.engines.java import archive, base_archive
from lockstep.local.engines.pins import EngineName
from lockstep.local.processes import start, stop, wait_until_ready
from tools.engines import READY_SECONDS, engine_home

# A class of each engine. Its archive is on top of the one of Java's own classes.
ARCHIVED: dict[EngineName, str] = {
    "opensearch": "org.opensearch.node.Node",
    "dynamodb": "com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
    "s3": "org.gaul.s3proxy.S3Proxy",
}


@pytest.mark.parametrize("name", ARCHIVED)
def test_java_takes_the_classes_from_the_archive(name: EngineName, tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    service = engine_on_free_ports(name, engine_home(name), tmp_path)
    java, *rest = service.command
    child = start(replace(service, command=[java, f"-Xlog:class+load:file={loaded}", *rest]))
    try:
        wait_until_ready([child], seconds=READY_SECONDS)
    finally:
        stop([child])
    (line,) = [line for line in loaded.read_text().splitlines() if f" {ARCHIVED[name]} " in line]
    assert line.endswith("source: shared objects file (top)")


def test_an_archive_that_is_missing_is_made_once(tmp_path: Path) -> None:
    installed = engine_home("s3")
    home = tmp_path / "cache" / installed.name
    home.mkdir(parents=True)
    (home / "lib").symlink_to(installed / "lib")
    archive_classes({"s3": home})
    archives = (archive(home), base_archive(home.parent))
    sizes = [file.stat().st_size for file in archives]
    assert all(size > 1_000_000 for size in sizes)
    made = [file.stat().st_mtime_ns for file in archives]
    archive_classes({"s3": home})
    assert [file.stat().st_mtime_ns for file in archives] == made
    assert list(home.parent.rglob("*.unfinished")) == []


def test_an_engine_whose_archive_java_could_not_write_starts_without_one(tmp_path: Path) -> None:
    installed = engine_home("s3")
    home = tmp_path / installed.name
    home.mkdir()
    (home / "lib").symlink_to(installed / "lib")
    for file in (archive(home), base_archive(tmp_path)):
        file.touch()
    archive_classes({"s3": home})
    service = engine_on_free_ports("s3", home, tmp_path / "state")
    assert not any("SharedArchiveFile" in word for word in service.command)
    child = start(service)
    try:
        wait_until_ready([child], seconds=READY_SECONDS)
    finally:
        stop([child])
