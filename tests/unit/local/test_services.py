"""The services of a local stack."""

import datetime as dt
from pathlib import Path

import pytest

from lockstep.local.mapping.template import function_named
from lockstep.local.replica import TABLESTORE
from lockstep.local.services import (
    ResourceNames,
    audits,
    event_source_mappings,
    has_pictures,
    pictures,
    python_service,
    stack_of,
)
from lockstep.stack.sam import env_vars
from lockstep.stack.shipped import TEMPLATE, shipped
from lockstep.stack.stack import REPLICA_CONSUMER, SEARCH, LocalReplica, PictureStores
from shared.quarantine import CONSUMERS
from tests.unit.operator.command import assert_one_line, lockstep


def test_a_stack_audits_itself_only_at_an_interval() -> None:
    assert audits(None)(Path("state")) == []
    (service,) = audits(dt.timedelta(hours=12))(Path("state"))
    assert service.command[-5:] == [
        "lockstep.nightly.local",
        *("--state", "state", "--every", "43200"),
    ]


@pytest.mark.parametrize("interval", ["0m", "12", "1w", "soon"])
def test_an_interval_that_is_none_is_told(tmp_path: Path, interval: str) -> None:
    result = lockstep("up", "--audit-every", interval, "--state", tmp_path)
    assert_one_line(result, "--audit-every", "write 1d, 12h or 30m")


def test_pictures_are_looked_at_in_a_process_and_with_trouble_on_wish() -> None:
    assert has_pictures()
    for trouble, more in ((False, []), (True, ["--trouble"])):
        found = pictures(trouble=trouble)(Path("state"))
        assert [one.name for one in found] == ["pictures-to-events", "make-thumbnails"]
        for service, module in zip(found, ("pictures_to_events", "make_thumbnails"), strict=True):
            words = [f"lockstep.{module}.local", "--state", "state", *more]
            assert [*service.command[-len(words) :]] == words


def test_the_consumer_of_a_replica_runs_from_its_own_template() -> None:
    def functions(*, replicates: bool) -> dict[str, list[str]]:
        services = event_source_mappings(replicates=replicates)(Path("state"))
        return {one.name.removeprefix("mapping-"): [*one.command] for one in services}

    assert functions(replicates=False).keys() == {*CONSUMERS}
    found = functions(replicates=True)
    assert found.keys() == {*CONSUMERS, REPLICA_CONSUMER}
    words = found[REPLICA_CONSUMER]
    assert Path(words[words.index("--template") + 1]).name == "template-tablestore.yaml"
    assert "--template" not in found[CONSUMERS[0]]


def test_a_stack_has_a_replica_if_it_has_a_table_store_and_always_has_a_picture_bucket() -> None:
    state = Path("state")
    names = ["kinesis", "dynamodb", "opensearch", "s3"]
    services = {
        name: python_service(name, state, [name], port=port)
        for port, name in enumerate([*names, TABLESTORE], start=1)
    }
    found = stack_of(state, ResourceNames(), services)
    assert found.endpoints.tablestore == "http://127.0.0.1:5"
    assert found.replica == LocalReplica("lockstep_images", "lockstep-replica-quarantine")
    del services[TABLESTORE]
    found = stack_of(state, ResourceNames(), services)
    assert (found.endpoints.tablestore, found.replica) == (None, None)
    assert found.pictures == PictureStores(
        "lockstep-pictures", "lockstep-picture-rows", "lockstep-thumbnails"
    )


def test_a_replica_needs_the_sdk_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstep.console.extras.find_spec", lambda _: None)
    state = tmp_path / "state"
    result = lockstep("up", "--replicate-to", "tablestore", "--state", state)
    assert_one_line(result, "tablestore is not installed", 'pip install "lockstep[tablestore]"')
    assert not state.exists()


def test_a_replica_of_another_store_is_refused(tmp_path: Path) -> None:
    result = lockstep("up", "--replicate-to", "elsewhere", "--state", tmp_path)
    assert_one_line(result, "--replicate-to", "tablestore")


def test_the_attributes_that_are_facets_are_of_the_stack(tmp_path: Path) -> None:
    names = ["kinesis", "dynamodb", "opensearch", "s3"]
    services = {
        name: python_service(name, tmp_path, ["m"], port=at) for at, name in enumerate(names, 1)
    }
    found = stack_of(tmp_path, ResourceNames(search_facets=("artist", "medium")), services)
    function = function_named(shipped(TEMPLATE), SEARCH, found)
    assert function.environment["SEARCH_FACETS"] == "artist,medium"
    assert env_vars(found)["SearchImages"]["SEARCH_FACETS"] == "artist,medium"
    without = stack_of(tmp_path, ResourceNames(), services)
    assert "SEARCH_FACETS" not in function_named(shipped(TEMPLATE), SEARCH, without).environment


@pytest.mark.parametrize(
    ("facets", "said"),
    [
        ([""], "'': a name is a letter, then letters, digits, _ and -"),
        (["1st"], "'1st': a name is a letter, then letters, digits, _ and -"),
        ([f"a{at}" for at in range(11)], "11 attributes, at most 10"),
        (["tags"], "tags is a field of an image, not an attribute: leave it out"),
    ],
)
def test_a_facet_that_is_no_attribute_is_refused(
    tmp_path: Path, facets: list[str], said: str
) -> None:
    words = [word for facet in facets for word in ("--facet", facet)]
    assert_one_line(lockstep("up", *words, "--state", tmp_path), "--facet", said)
