"""What the index's sink makes of answers that OpenSearch on this machine never gives."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from opensearchpy import OpenSearch
from opensearchpy.connection.base import Connection
from opensearchpy.exceptions import ConnectionError as NotConnected
from opensearchpy.exceptions import ConnectionTimeout
from urllib3.exceptions import ConnectTimeoutError, ProtocolError

from functions.write_to_es.bulk import MAX_REQUEST_BYTES
from functions.write_to_es.connect import AccessDeniedError
from functions.write_to_es.index import definition
from functions.write_to_es.sink import ImageIndex
from shared.change import Change, Purge
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.shortened import MOST
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
    RequestTooLargeError,
    SinkError,
)
from tests.builders import ARRIVED_AT, change, image

type Answer = tuple[int, str] | Exception
JSON = {"content-type": "application/json; charset=UTF-8"}
HTML = {"content-type": "text/html"}


class Sent(NamedTuple):
    """What a request said."""

    parameters: Mapping[str, str]
    body: bytes


class Scripted(Connection):
    """A connection that gives these answers, one after another, and keeps what it was sent."""

    def __init__(
        self,
        *,
        answers: list[Answer],
        headers_of_answers: Mapping[str, str],
        requests: list[Sent],
        waited: list[Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._answers = answers
        self._headers = headers_of_answers
        self._requests = requests
        self._waited = waited

    def perform_request(self, *args: Any, timeout: Any = None, **_: Any) -> Any:
        _method, _url, parameters, body = args
        self._waited.append(timeout)
        self._requests.append(Sent(parameters, body))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, text = answer
        if not 200 <= status < 300:
            self._raise_error(status, text, self._headers["content-type"])
        return status, self._headers, text


def index_that_answers(
    *answers: Answer,
    headers: Mapping[str, str] = JSON,
    requests: list[Sent] | None = None,
    waited: list[Any] | None = None,
    elapsed: Callable[[], float] = lambda: 0.0,
) -> ImageIndex:
    script = list(answers)
    client = OpenSearch(
        ["http://127.0.0.1:1"],
        connection_class=Scripted,
        answers=script,
        headers_of_answers=headers,
        requests=[] if requests is None else requests,
        waited=[] if waited is None else waited,
        max_retries=0,
    )
    return ImageIndex(client, "images", longest_request=5.0, elapsed=elapsed)


def bulk(*items: Mapping[str, Any], **more: Any) -> Answer:
    return 200, json.dumps({"items": [{"index": item} for item in items], **more})


def failed(status: int, kind: str, reason: str = "because", **more: Any) -> Mapping[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason, **more}}


def held_off(current: object, provided: int = 5) -> Mapping[str, Any]:
    return failed(
        409,
        "version_conflict_engine_exception",
        f"[T0]: version conflict, current version [{current}] is higher or equal to the one "
        f"provided [{provided}]",
    )


def stored(image_id: str, moved_to: int, **source: Any) -> Mapping[str, Any]:
    return {"_id": image_id, "_version": moved_to, "found": True, "_source": source}


def mget(*docs: Mapping[str, Any]) -> Answer:
    return 200, json.dumps({"docs": docs})


def sent(*answers: Answer, count: int = 1, headers: Mapping[str, str] = JSON) -> Sequence[Outcome]:
    changes = [change(f"T{number}", 5) for number in range(count)]
    return index_that_answers(*answers, headers=headers).send(changes)


CREATED: Mapping[str, Any] = {"status": 201}
CONNECT_TIMEOUT = ConnectTimeoutError()
SENDING_TIMED_OUT = ProtocolError("Connection aborted.", TimeoutError("timed out"))
GONE = (
    "version 5: another program deleted the document, and OpenSearch keeps its version for a "
    "minute (index.gc_deletes)"
)


class TestItems:
    def test_the_filtered_answer_and_the_whole_one_say_the_same(self) -> None:
        whole = {"_index": "i", "_id": "T0", "_version": 5, "result": "created", "status": 201}
        assert sent(bulk(CREATED)) == [Applied()]
        assert sent(bulk(whole, errors=False, took=3)) == [Applied()]

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (429, "rejected_execution_exception"),
            (500, "exception"),
            (502, "bad_gateway"),
            (503, "unavailable_shards_exception"),
            (504, "timeout"),
            (404, "shard_not_found_exception"),
            (418, "something_new"),
            (409, "something_new"),
        ],
    )
    def test_what_may_pass_fails_its_own_change_only(self, status: int, kind: str) -> None:
        first, second = sent(bulk(failed(status, kind), CREATED), count=2)
        assert first == Failed(f"index images: {status}: {kind}: because")
        assert second == Applied()

    @pytest.mark.parametrize(
        "kind",
        [
            "mapper_parsing_exception",
            "document_parsing_exception",
            "illegal_argument_exception",
        ],
    )
    def test_what_never_works_refuses_its_own_change_only(self, kind: str) -> None:
        first, second = sent(bulk(failed(400, kind), CREATED), count=2)
        assert first == Refused(f"index images: 400: {kind}: because")
        assert second == Applied()

    def test_a_refusal_names_its_root_and_stays_short(self) -> None:
        cause = {"type": "number_format_exception", "reason": "For input string: x"}
        (refused,) = sent(bulk(failed(400, "mapper_parsing_exception", caused_by=cause)))
        assert isinstance(refused, Refused)
        assert refused.detail.endswith("because (number_format_exception: For input string: x)")
        (refused,) = sent(bulk(failed(400, "mapper_parsing_exception", "x" * 10_000)))
        assert isinstance(refused, Refused)
        assert len(refused.detail) <= MOST

    @pytest.mark.parametrize(
        ("status", "kind", "reason"),
        [
            (401, "security_exception", "no credentials"),
            (403, "security_exception", "no permissions for [indices:data/write/bulk]"),
            (403, "cluster_block_exception", "index blocked"),
            (404, "index_not_found_exception", "no such index [images]"),
            (400, "index_closed_exception", "closed"),
            (400, "strict_dynamic_mapping_exception", "introduction of [checksum] is not allowed"),
            (400, "illegal_argument_exception", "no write index is defined for alias [images]."),
        ],
    )
    def test_a_broken_deployment_raises_with_its_cause(
        self, status: int, kind: str, reason: str
    ) -> None:
        with pytest.raises(MisconfiguredError) as raised:
            sent(bulk(CREATED, failed(status, kind, reason)), count=2)
        assert str(raised.value) == f"index images: {status}: {kind}: {reason}"

    @pytest.mark.parametrize(
        "answer",
        [
            bulk(),
            bulk(CREATED),
            bulk(CREATED, CREATED, CREATED),
            (200, "{}"),
            (200, "[]"),
            (200, '"items"'),
            (200, ""),
            (200, '{"items": [{"index": {"status": 201}}, {"index": {}}]}'),
            (200, '{"items": [{"index": {"status": "201"}}, {"index": {"status": 201}}]}'),
            (200, '{"items": [{}, {"index": {"status": 201}}]}'),
            (200, '{"items": [{"index": {"status": 201}}, {"index": {"sta'),
        ],
    )
    def test_an_answer_that_is_none_fails_the_request(self, answer: Answer) -> None:
        with pytest.raises(RequestFailedError, match="index images: "):
            sent(answer, count=2)

    def test_a_web_page_in_place_of_an_answer_fails_the_request(self) -> None:
        with pytest.raises(RequestFailedError, match="index images: "):
            sent((200, "<html>"), headers=HTML)


class TestWholeRequest:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, RequestRefusedError),
            (413, RequestTooLargeError),
            (401, AccessDeniedError),
            (403, AccessDeniedError),
            (404, MisconfiguredError),
            (302, RequestFailedError),
            (405, RequestFailedError),
            (418, RequestFailedError),
            (429, RequestFailedError),
            (500, RequestFailedError),
            (502, RequestFailedError),
            (503, RequestFailedError),
            (408, RequestTimedOutError),
            (504, RequestTimedOutError),
        ],
    )
    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            ('{"error": {"type": "cause", "root_cause": [{"reason": "r"}]}}', JSON),
            ('{"Message": "User is not authorized: cause"}', JSON),
            ("<html>cause</html>", HTML),
        ],
    )
    def test_a_status_means_one_thing_and_names_alias_and_cause(
        self, status: int, error: type[SinkError], body: str, headers: Mapping[str, str]
    ) -> None:
        with pytest.raises(SinkError) as raised:
            sent((status, body), headers=headers)
        assert type(raised.value) is error
        assert str(raised.value).startswith("index images: ")
        assert str(status) in str(raised.value)
        assert "cause" in str(raised.value)

    @pytest.mark.parametrize(
        ("lost", "error"),
        [
            (NotConnected("N/A", "refused", OSError("refused")), RequestFailedError),
            (NotConnected("N/A", "no route", CONNECT_TIMEOUT), RequestFailedError),
            (NotConnected("N/A", "reset", ProtocolError("", OSError())), RequestFailedError),
            (NotConnected("N/A", "stalled", SENDING_TIMED_OUT), RequestTimedOutError),
            (ConnectionTimeout("TIMEOUT", "late", OSError("late")), RequestTimedOutError),
        ],
    )
    def test_a_lost_connection_and_a_timeout_are_told_apart(
        self, lost: Exception, error: type[SinkError]
    ) -> None:
        with pytest.raises(RequestFailedError, match="index images: ") as raised:
            sent(lost)
        assert type(raised.value) is error

    def test_a_check_tells_the_same_apart(self) -> None:
        with pytest.raises(RequestFailedError):
            index_that_answers((503, "{}")).check()
        with pytest.raises(MisconfiguredError):
            index_that_answers((403, "{}")).check()
        with pytest.raises(MisconfiguredError, match=r"^index images: RequestError\(400"):
            index_that_answers((400, "{}")).check()

    def test_a_mapping_that_was_cut_off_says_nothing_of_the_deployment(self) -> None:
        with pytest.raises(RequestFailedError, match="an empty answer"):
            index_that_answers((200, "")).check()

    @pytest.mark.parametrize(
        ("indices", "says"),
        [
            (["images"], "images is an index, expected an alias"),
            (["i2", "i1"], "alias images names i1, i2, expected one index"),
            ([], "alias images names , expected one index"),
            (["i1"], "index i1 behind images: "),
        ],
    )
    def test_a_check_says_what_stands_behind_the_alias(
        self, indices: Sequence[str], says: str
    ) -> None:
        answer = json.dumps({name: {"mappings": {"dynamic": "true"}} for name in indices})
        with pytest.raises(MisconfiguredError, match=f"^{says}"):
            index_that_answers((200, answer)).check()

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"default_pipeline": "p"}, "default_pipeline is p, expected _none"),
            ({"default_pipeline": "_none", "final_pipeline": "q"}, "final_pipeline is q"),
            (
                {"mapping": {"nested_objects": {"limit": "63"}}},
                "mapping.nested_objects.limit is 63, expected at least 64",
            ),
        ],
    )
    def test_a_check_names_a_setting_that_refuses_documents_of_ours(
        self, settings: Mapping[str, Any], says: str
    ) -> None:
        with pytest.raises(MisconfiguredError, match=f"^index i1 behind images: {says}"):
            index_that_answers((200, _shown(settings))).check()

    @pytest.mark.parametrize(
        "settings", [{}, {"mapping": {"nested_objects": {"limit": "64"}}, "refresh_interval": "1s"}]
    )
    def test_a_check_passes_other_settings(self, settings: Mapping[str, Any]) -> None:
        index_that_answers((200, _shown(settings))).check()

    def test_a_check_is_about_every_index_that_refused_a_document_since_the_last_one(self) -> None:
        refused = failed(400, "mapper_parsing_exception")
        shown = 200, _shown({})
        index = index_that_answers(
            bulk({**refused, "_index": "i0"}), bulk({**refused, "_index": "i1"}), shown, shown
        )
        for _ in range(2):
            index.send([change()])
        with pytest.raises(
            RequestFailedError, match="moved from i0, which refused a document, to i1"
        ):
            index.check()
        index.check()

    def test_a_pipeline_that_refuses_a_document_is_found_by_the_check(self) -> None:
        refused = {**failed(400, "illegal_argument_exception"), "_index": "images"}
        index = index_that_answers(bulk(refused), (200, _shown({"default_pipeline": "nowhere"})))
        index.send([change()])
        with pytest.raises(MisconfiguredError, match="default_pipeline is nowhere"):
            index.check()


def _shown(settings: Mapping[str, Any]) -> str:
    """The index as OpenSearch shows it, made from its definition, with these settings besides."""
    ours = definition()
    its = {"mappings": ours["mappings"], "settings": {"index": {**ours["settings"], **settings}}}
    return json.dumps({"i1": its})


class TestGuard:
    def test_the_reasons_words_decide_nothing(self) -> None:
        same = change("T0", 5)
        digest = getattr(same, "digest", None)
        there = stored("T0", 5, version=5, deleted=False, digest=digest)
        item = failed(409, "version_conflict_engine_exception", "held off; [T0] has [6] already")
        assert sent(bulk(item), mget(there)) == [Duplicate()]

    def test_a_higher_version_in_the_store_is_stale(self) -> None:
        assert sent(bulk(held_off(6)), mget(stored("T0", 6, version=6))) == [Stale()]

    def test_a_version_that_moved_without_its_content_is_a_conflict(self) -> None:
        (conflict,) = sent(bulk(held_off(7)), mget(stored("T0", 7, version=4, digest="d")))
        assert isinstance(conflict, Conflict)
        assert "digest d of version 4, which another program moved to 7" in conflict.detail

    def test_an_image_without_digest_is_other_content(self) -> None:
        (conflict,) = sent(bulk(held_off(5)), mget(stored("T0", 5, version=5)))
        digest = getattr(change("T0", 5), "digest", None)
        assert conflict == Conflict(
            f"version 5 is taken: stored is an image without digest, this is digest {digest}"
        )

    def test_a_look_asks_for_no_more_than_it_compares(self) -> None:
        requests: list[Sent] = []
        answers = bulk(held_off(6)), mget(stored("T0", 6, version=6))
        index_that_answers(*answers, requests=requests).send([change("T0", 5)])
        fields = ["version", "deleted", "digest", "arrived_at", "occurred_at"]
        look = {"docs": [{"_id": "T0", "_source": fields}]}
        assert json.loads(requests[1].body) == look

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"arrived_at": ARRIVED_AT},
            {"arrived_at": str(ARRIVED_AT), "occurred_at": "2026-11-21T08:00:00Z"},
            {"arrived_at": ARRIVED_AT, "occurred_at": "yesterday"},
            {"arrived_at": [ARRIVED_AT], "occurred_at": {"a": 1}},
        ],
    )
    def test_what_a_malformed_document_holds_is_unknown(self, said: Mapping[str, Any]) -> None:
        (stale,) = sent(bulk(held_off(6)), mget(stored("T0", 6, version=6, **said)))
        assert stale == Stale()

    def test_a_document_overtaken_in_between_is_stale(self) -> None:
        assert sent(bulk(held_off(5)), mget(stored("T0", 7, version=7))) == [Stale()]

    def test_one_look_decides_for_all_and_outcomes_keep_their_positions(self) -> None:
        digest = getattr(change("T3", 5), "digest", None)
        outcomes = sent(
            bulk(held_off(9), held_off(5), CREATED, held_off(5)),
            mget(
                stored("T0", 9, version=9),
                stored("T1", 5, version=5, deleted=False, digest="other"),
                stored("T3", 5, version=5, deleted=False, digest=digest),
            ),
            count=4,
        )
        assert [type(outcome) for outcome in outcomes] == [Stale, Conflict, Applied, Duplicate]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ((503, "{}"), "index images: TransportError(503"),
            ((400, "{}"), "index images: RequestError(400"),
            (mget(), "index images: 0 documents for 1 ids"),
            (mget({"_id": "T9", "found": False}), "index images: 1 documents for 1 ids"),
            ((200, "{"), "index images: the answer is not JSON, or truncated"),
            (
                mget({"_id": "T1", "error": {"type": "no_shard_available_action_exception"}}),
                "no_shard_available_action_exception: no reason given",
            ),
            (mget({"_id": "T1", "found": False}), GONE),
            (mget({"_id": "T1", "found": False, "_version": 7}), GONE),
            (mget({"_id": "T1", "found": True}), GONE),
            (mget(stored("T1", 4, version=4)), GONE),
        ],
    )
    def test_a_look_that_does_not_tell_leaves_only_the_unclear_for_later(
        self, answer: Answer, why: str
    ) -> None:
        applied, unclear = sent(bulk(CREATED, held_off(5)), answer, count=2)
        assert applied == Applied()
        assert isinstance(unclear, Failed)
        assert unclear.detail.startswith(why)

    def test_a_look_that_is_forbidden_is_a_misconfiguration(self) -> None:
        with pytest.raises(MisconfiguredError, match="403"):
            sent(bulk(held_off(5)), (403, "{}"))


def test_a_send_and_its_look_fit_into_the_longest_send() -> None:
    assert index_that_answers().longest_send == 10.0


def described(number: int, length: int) -> Change:
    return change(f"T{number:03}", image=image(description="x" * length))


def bytes_of(*changes: Change) -> int:
    requests: list[Sent] = []
    index_that_answers(bulk(*[CREATED] * len(changes)), requests=requests).send(changes)
    return len(requests[0].body)


def test_a_request_is_filled_to_its_last_byte_and_no_further() -> None:
    index = index_that_answers()
    most = [described(number, 32_000) for number in range(162)]
    room = MAX_REQUEST_BYTES - bytes_of(*most) - bytes_of(described(162, 1)) + 1
    assert 0 < room < 32_768
    fitting, too_long = described(162, room), described(162, room + 1)
    assert [*map(len, index.requests([*most, fitting, *most, fitting]))] == [163, 163]
    assert [*map(len, index.requests([*most, too_long]))] == [162, 1]


LATE = ConnectionTimeout("TIMEOUT", "late", OSError("late"))


def test_requests_are_half_as_large_after_a_timeout_and_grow_with_each_answer() -> None:
    changes = [described(number, 32_000) for number in range(400)]
    index = index_that_answers(LATE, bulk(CREATED), *[bulk(CREATED)] * 64)
    whole, *_ = index.requests(changes)
    with pytest.raises(RequestTimedOutError):
        index.send(whole)
    sizes = []
    for _ in range(65):
        sizes.append(len(next(iter(index.requests(changes)))))
        index.send(changes[:1])
    assert sizes[0] == len(whole) // 2
    assert sizes == sorted(sizes)
    assert sizes[31] < len(whole) == sizes[32] == sizes[-1]


def test_the_rest_of_a_batch_is_cut_smaller_at_once() -> None:
    changes = [described(number, 32_000) for number in range(400)]
    index = index_that_answers(LATE)
    requests = iter(index.requests(changes))
    with pytest.raises(RequestTimedOutError):
        index.send(first := next(requests))
    assert len(next(requests)) <= len(first) // 2 + 1


def test_a_timeout_of_one_change_says_nothing_of_its_size() -> None:
    index = index_that_answers(LATE)
    with pytest.raises(RequestTimedOutError):
        index.send([change("T0")])
    assert len([*index.requests([change("T0"), change("T1")])]) == 1


def test_a_request_with_more_time_has_it_for_its_bulk_and_what_is_left_for_its_look() -> None:
    waited: list[Any] = []
    times = iter([100.0, 116.5])
    index = index_that_answers(
        bulk(held_off(6)),
        mget(stored("T0", 6, version=6)),
        waited=waited,
        elapsed=lambda: next(times),
    )
    assert index.send([change("T0", 5)], within=48.0) == [Stale()]
    assert [(one.connect_timeout, one.total) for one in waited] == [(43.0, 43.0), (31.5, 31.5)]


@pytest.mark.parametrize("took", [37.0, 47.0])
def test_the_look_has_at_least_the_usual_time(took: float) -> None:
    waited: list[Any] = []
    times = iter([0.0, took])
    index = index_that_answers(
        bulk(held_off(6)),
        mget(stored("T0", 6, version=6)),
        waited=waited,
        elapsed=lambda: next(times),
    )
    assert index.send([change("T0", 5)], within=48.0) == [Stale()]
    assert waited[1] is None


def test_a_bulk_asks_for_no_more_of_its_answer_than_is_read() -> None:
    requests: list[Sent] = []
    index_that_answers(bulk(CREATED), requests=requests).send([change("T0", 5)])
    assert requests[0].parameters == {
        "filter_path": "errors,items.*.status,items.*.error,items.*._index"
    }


def gone(image_id: str = "T1") -> Change:
    return Purge(**msgspec.structs.asdict(change(image_id, 4, "image.deleted")))


def test_a_purge_is_judged_by_its_removal_and_its_neighbours_by_their_own_answers() -> None:
    items = [
        {"index": {"status": 201}},
        {"index": failed(409, "version_conflict_engine_exception")},
        {"delete": {"status": 200}},
        {"index": {"status": 201}},
        {"delete": {"status": 404}},
        {"index": failed(429, "rejected")},
    ]
    index = index_that_answers((200, json.dumps({"items": items})))
    outcomes = index.send([change("T0"), gone("T1"), gone("T2"), change("T3")])
    assert outcomes[:3] == [Applied()] * 3
    assert isinstance(outcomes[3], Failed)


@pytest.mark.parametrize("items", [[], [CREATED] * 2])
def test_an_answer_to_another_number_of_operations_is_none(
    items: Sequence[Mapping[str, Any]],
) -> None:
    with pytest.raises(RequestFailedError, match=f"{len(items)} answers to 1 operations"):
        sent(bulk(*items))


def test_documents_that_are_none_name_the_index() -> None:
    (outcome,) = sent(bulk(held_off(6)), (200, '{"docs": 5}'))
    assert isinstance(outcome, Failed)
    assert outcome.detail.startswith("index images: not an answer of OpenSearch: ")


def test_an_answer_that_leaves_out_a_purges_removal_is_no_answer() -> None:
    items = [{"index": {"status": 201}}, {"index": {"status": 201}}]
    index = index_that_answers((200, json.dumps({"items": items})))
    with pytest.raises(RequestFailedError, match="2 answers to 3 operations"):
        index.send([change("T0"), gone("T1")])


def test_an_image_that_is_not_found_is_no_success_but_for_a_purge() -> None:
    (outcome,) = index_that_answers(bulk({"status": 404})).send([change("T1")])
    assert isinstance(outcome, Failed)


def test_a_purge_is_guarded_at_the_tombstones_own_version_beside_what_heeds_the_alias() -> None:
    requests: list[Sent] = []
    items = [{"update": {"status": 200}}, {"delete": {"status": 200}}]
    answer = (200, json.dumps({"items": items}))
    index_that_answers(answer, requests=requests).send([gone("T1")])
    look, nothing, removal = [json.loads(line) for line in requests[0].body.splitlines()]
    assert look == {"update": {"_id": "T1", "require_alias": True}}
    assert nothing == {"doc": {}}
    target = {"_id": "T1", "version": 4, "require_alias": True}
    assert removal == {"delete": target | {"version_type": "external_gte"}}
