"""The operator's commands about the quarantine: `lockstep quarantine` and `lockstep redrive`."""

import datetime as dt
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import click
import msgspec

from functions.write_to_es.sink import ImageIndex
from lockstep.commands.endings import NO, Refusal
from lockstep.commands.options import connected, json_option, since_option, stack_options
from lockstep.local.mapping.stream import KinesisStream, StreamUnavailableError
from lockstep.quarantine.bucket import BucketObjects
from lockstep.quarantine.cases import (
    Case,
    Found,
    NotOursError,
    Ready,
    Wanted,
    event_in,
    find,
    payload,
    read_record,
    said_in,
    state_of,
)
from lockstep.quarantine.contents import (
    Content,
    MalformedContentError,
    Stores,
    content_of,
    index_lookup,
    table_lookup,
)
from lockstep.quarantine.given_up import Fetched, fetch
from lockstep.redrive import (
    CannotSettleError,
    Index,
    Redrive,
    RedriveReport,
    Settlement,
    Time,
    choose,
    mend,
    mending_in,
)
from lockstep.sources import lines
from lockstep.stack import CONSUMERS
from lockstep.system import NO_CLOCK, System
from lockstep.terminal import answers, notes, print_json, print_table, printable
from shared.event import InvalidEventError, Reason
from shared.quarantine import QuarantinedRecord

# More rows than this nobody reads; programs get all of them.
ROWS = 50
# Of a payload that is no event, and of a field in a comparison.
SHOWN = 2_000
SHOWN_OF_A_FIELD = 200

EMPTY_ID = "an empty ID is none: see `lockstep quarantine list`"


def _no_empty_id[T: str | tuple[str, ...]](_: click.Context, __: click.Parameter, given: T) -> T:
    """Every ID starts with nothing; whoever gives none, by an empty variable, means none."""
    if "" in (given if isinstance(given, tuple) else (given,)):
        raise click.BadParameter(EMPTY_ID)
    return given


reason_option = click.option(
    "--reason", type=click.Choice([*get_args(Reason), "given_up"]), help="Only these."
)
image_option = click.option("--image", metavar="ID", help="Only this image.")
since = since_option("Set aside since; 7d, 12h, or a time (UTC).")
pointers_option = click.option(
    "--pointers",
    type=click.File("rb"),
    help="Also what these failure documents from SQS or SNS point at (NDJSON).",
)
age_option = click.option(
    "--quarantine-days",
    type=click.IntRange(1, 3650),
    help="In place of the stack's QuarantineDays: older records go back only mended.",
)


class _Desk:
    """One stack, with everything that these commands use of it."""

    def __init__(self, system: System, quarantine_days: int | None) -> None:
        stack, clients = system.stack, system.clients
        self.age = dt.timedelta(days=quarantine_days or stack.quarantine_days)
        self.objects = BucketObjects(clients.s3, stack.bucket)
        self.stores = Stores(
            table_lookup(clients.dynamodb, stack.table, time.time),
            index_lookup(clients.opensearch, stack.index, time.time),
        )
        self._system = system
        self._consumers = {name: stack.functions.get(name, name) for name in CONSUMERS}
        self.redrive = Redrive(
            self.objects,
            lambda events: system.put(events, lambda _: None),
            self._consumers,
            time=Time(time.time, time.monotonic, time.sleep),
            quarantine_age=self.age,
            index=Index(
                sink=ImageIndex(clients.opensearch, stack.index, longest_request=NO_CLOCK),
                horizon=system.horizon,
                fed_from_table=stack.index_from != "Kinesis",
                changes_stream=stack.changes_stream,
            ),
        )

    def find(self, wanted: Wanted, pointers: BinaryIO | None = None) -> Found:
        """What is set aside, now."""
        with notes.status("reading the quarantine"):
            try:
                return find(
                    self.objects,
                    self._consumers,
                    now=dt.datetime.now(dt.UTC),
                    quarantine_age=self.age,
                    pointers=() if pointers is None else lines(pointers),
                    fetch=self._fetch,
                    wanted=wanted,
                    changes_stream=self._system.stack.changes_stream,
                )
            except StreamUnavailableError as error:
                raise Refusal(f"stream {self._system.stack.stream}: {error}") from error

    def one(self, case_id: str, found: Found) -> Case:
        """The only case whose id starts so."""
        if not case_id:
            raise Refusal(EMPTY_ID)
        cases = [case for case in found.cases if case.id.startswith(case_id)]
        if len(cases) == 1:
            return cases[0]
        if cases:
            raise Refusal(f"{case_id}: {len(cases)} ids start so: write more of it")
        raise Refusal(f"{case_id}: nothing of that id is set aside: see `lockstep quarantine list`")

    def record(self, case: Case, found: Found) -> QuarantinedRecord:
        """A case's record, whole."""
        for key in case.keys:
            if key in found.fetched:
                return found.fetched[key]
            body = self.objects.read(key)
            if body is not None:
                try:
                    return read_record(body)
                except NotOursError as error:
                    raise Refusal(f"{key}: {error}") from error
        for document in case.documents:
            for held in self.redrive.records_of(document):
                if held.key in case.keys:
                    return held
        raise Refusal(f"{case.id}: somebody else settled it just now")

    def _fetch(self, line: bytes) -> Fetched:
        stack = self._system.stack
        stream = KinesisStream(self._system.clients.kinesis, stack.stream)
        return fetch(line, self._consumers, stack.stream, stream.reader, time.sleep)


@click.group("quarantine")
def quarantine_group() -> None:
    """What is set aside, and why."""


@quarantine_group.command("list")
@stack_options
@json_option
@reason_option
@image_option
@since
@pointers_option
@age_option
def list_command(
    name: str | None,
    state: Path,
    *,
    reason: str | None,
    image: str | None,
    since: dt.datetime | None,
    pointers: BinaryIO | None,
    quarantine_days: int | None,
    as_json: bool,
) -> None:
    """What is set aside, oldest first, and what can be done about it."""
    desk = _Desk(connected(name, state), quarantine_days)
    found = desk.find(Wanted(reason=reason, image=image, since=since), pointers)
    if as_json:
        print_json(_as_json(found))
        return
    show_cases(found.cases)
    show_rest(found)


@quarantine_group.command("stats")
@stack_options
@json_option
@age_option
def stats_command(
    name: str | None, state: Path, quarantine_days: int | None, *, as_json: bool
) -> None:
    """How much is set aside: by reason, consumer and what can be done."""
    found = _Desk(connected(name, state), quarantine_days).find(Wanted())
    counts = Counter(
        (reason, function, state_of(case.verdict))
        for case in found.cases
        for reason in case.reasons
        for function in case.functions
    )
    images = len({case.image for case in found.cases})
    if as_json:
        rows = [
            {"reason": reason, "function": function, "state": word, "records": count}
            for (reason, function, word), count in sorted(counts.items())
        ]
        print_json(
            {"records": len(found.cases), "images": images, "counts": rows}
            | {"unreadable": found.unreadable}
        )
        return
    if counts:
        print_table(
            ["reason", "consumer", "what now", " records"],
            [
                [reason, printable(function), _STATES[word], f"{count:,}"]
                for (reason, function, word), count in sorted(counts.items())
            ],
        )
    answers.print(f"{len(found.cases):,} records of {images:,} images are set aside")
    show_rest(found)


@quarantine_group.command("show")
@click.argument("case_id", metavar="ID", callback=_no_empty_id)
@stack_options
@json_option
@pointers_option
@age_option
def show_command(
    case_id: str,
    name: str | None,
    state: Path,
    *,
    pointers: BinaryIO | None,
    quarantine_days: int | None,
    as_json: bool,
) -> None:
    """One record: where it came from, and why it lies here.

    Also what the stores say of its image.
    """
    desk = _Desk(connected(name, state), quarantine_days)
    found = desk.find(Wanted(), pointers)
    case = desk.one(case_id, found)
    held = desk.record(case, found)
    data = payload(held)
    try:
        this: Content | None = content_of(event_in(held))
    except InvalidEventError:
        this = None
    there = {} if case.image_id is None else desk.stores.contents(case.image_id)
    contents = {"this": this, **there}
    if as_json:  # the payload in base64
        print_json({"case": case, "payload": data, "contents": contents})
        return
    show_case(case)
    if this is None:
        answers.print(f"payload: {_cut(data.decode(errors='backslashreplace'), SHOWN)}")
    else:
        show_side_by_side(contents)


@click.command("redrive")
@click.argument("ids", nargs=-1, metavar="[ID]...", callback=_no_empty_id)
@stack_options
@json_option
@click.option("--apply", is_flag=True, help="Do it; else it is only told what would be done.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second, at most."
)
@reason_option
@image_option
@since
@pointers_option
@age_option
@click.option(
    "--mend",
    "mending",
    type=click.File("rb"),
    help='Corrected events, one a line: {"id": "ID", "event": {...}}.',
)
@click.option(
    "--choose", "chosen", type=click.Choice(["this", "stored"]), help="Settle these conflicts."
)
def redrive_command(
    ids: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    rate: float | None,
    reason: str | None,
    image: str | None,
    since: dt.datetime | None,
    pointers: BinaryIO | None,
    quarantine_days: int | None,
    mending: BinaryIO | None,
    chosen: Literal["this", "stored"] | None,
    apply: bool,
    as_json: bool,
) -> None:
    """Put back what is set aside, under the guard of all else.

    Without --apply nothing changes. Exit code 1: something that was asked for could not be done.
    """
    if chosen and not ids:
        raise click.UsageError("--choose needs the IDs of the conflicts that it settles")
    if chosen and mending:
        raise click.UsageError("--choose or --mend, one at a time")
    desk = _Desk(connected(name, state), quarantine_days)
    wanted = Wanted(ids=() if mending else ids, reason=reason, image=image, since=since)
    found = desk.find(wanted, pointers)
    for case_id in ids:
        desk.one(case_id, found)
    if chosen or mending:
        settlements, problems = _settlements(desk, found, ids, chosen, mending)
        report = desk.redrive.settle(settlements, found.fetched) if apply else None
        if as_json:
            print_json({"settled": settlements, "problems": problems, "report": report})
        else:
            show_settlements(settlements, problems)
            show_report(report, len(settlements))
        sys.exit(NO if problems else 0)
    ready = [case for case in found.cases if isinstance(case.verdict, Ready)]
    if not apply:
        if as_json:
            print_json(_as_json(found) | {"ready": len(ready), "report": None})
        else:
            show_cases(found.cases)
            show_rest(found)
            show_report(None, len(ready))
        sys.exit(NO if ids and len(ready) < len(found.cases) else 0)
    with notes.status("redriving") as line:
        report = desk.redrive.as_they_were(
            found.cases,
            found.fetched,
            rate=rate,
            on_progress=lambda done: line.update(f"redriving: {done:,} of {len(ready):,}"),
        )
    if as_json:
        print_json(_as_json(found) | {"ready": len(ready), "report": report})
    else:
        show_rest(found)
        show_report(report, len(ready))
    sys.exit(NO if ids and report.kept else 0)


def _settlements(
    desk: _Desk,
    found: Found,
    ids: Sequence[str],
    chosen: Literal["this", "stored"] | None,
    mending: BinaryIO | None,
) -> tuple[list[Settlement], list[str]]:
    """What comes of each choice or mended event, and what is wrong with the others."""
    settlements, problems = [], []
    for where, settle in _orders(desk, found, ids, chosen, mending):
        try:
            settlements.append(settle())
        except (CannotSettleError, MalformedContentError, Refusal) as error:
            problems.append(f"{where}{error}")
    return settlements, problems


def _orders(
    desk: _Desk,
    found: Found,
    ids: Sequence[str],
    chosen: Literal["this", "stored"] | None,
    mending: BinaryIO | None,
) -> Iterator[tuple[str, Callable[[], Settlement]]]:
    if chosen is not None:
        what = chosen
        for case_id in ids:

            def settle(case_id: str = case_id) -> Settlement:
                case = desk.one(case_id, found)
                data = said_in(desk.record(case, found))
                return choose(what, case, data, desk.stores, now=time.time())

            yield "", settle
    for number, line in enumerate(lines(mending) if mending else (), start=1):
        if not line.strip():
            continue

        def settle_line(line: bytes = line) -> Settlement:
            said = mending_in(line)
            case = desk.one(said.id, found)
            data = said_in(desk.record(case, found))
            return mend(
                case, data, said.event, desk.stores, now=time.time(), quarantine_age=desk.age
            )

        yield f"line {number}: ", settle_line


def _as_json(found: Found) -> dict[str, Any]:
    return {"cases": found.cases, "unreadable": found.unreadable, "gone": found.gone}


_STATES = {
    "ready": "can go back",
    "waits": "later",
    "choose": "choose",
    "mend": "mend",
    "too_old": "too old",
}


def show_cases(cases: Sequence[Case]) -> None:
    """Cases, one a row, in 80 columns."""
    if not cases:
        return
    now = time.time()
    print_table(
        ["id", " age", "image", " version", "reason", "what now"],
        [
            [
                case.id,
                _age(now - case.arrived_at / 1000),
                _cut(case.image, 12),
                "" if case.version is None else str(case.version),
                _cut(", ".join(case.reasons), 16),
                _STATES[state_of(case.verdict)],
            ]
            for case in cases[:ROWS]
        ],
    )
    if len(cases) > ROWS:
        answers.print(f"... and {len(cases) - ROWS:,} more (--json lists all)")


def show_rest(found: Found) -> None:
    """What cannot be brought back, and how much the rest is."""
    for unreadable in found.unreadable:
        notes.print(printable(f"passed over: {unreadable.where}: {unreadable.why}"))
    for gone in found.gone:
        notes.print(printable(f"gone: {gone}"))


def show_report(report: RedriveReport | None, ready: int) -> None:
    """What a redrive did, or would do."""
    if report is None:
        answers.print(f"{ready:,} can go back; nothing is done yet: --apply does it")
        return
    answers.print(
        f"{report.redriven:,} redriven, {report.put:,} events put, "
        f"{report.objects:,} objects moved to redriven/, {report.seconds:.1f} s"
    )
    if report.indexed:
        answers.print(f"{report.indexed:,} went straight into the index")
    if report.moved_meanwhile:
        answers.print(f"{report.moved_meanwhile:,} were settled by somebody else meanwhile")
    for word, count in report.kept.items():
        answers.print(f"{count:,} stay: {_STATES.get(word, word.replace('_', ' '))}")


def show_settlements(settlements: Sequence[Settlement], problems: Sequence[str]) -> None:
    """What comes of each choice or mended event."""
    for one in settlements:
        answers.print(f"{one.case.id}  {_cut(one.case.image, 24)}  {printable(one.note)}")
    for problem in problems:
        notes.print(printable(problem))


def show_case(case: Case) -> None:
    """Where a record came from and why it lies here."""
    arrived = dt.datetime.fromtimestamp(case.arrived_at / 1000, dt.UTC)
    said = {
        "id": case.id,
        "image": case.image,
        "partition key": case.partition_key,
        "version": "unknown" if case.version is None else str(case.version),
        "set aside by": ", ".join(case.functions),
        "reason": ", ".join(case.reasons),
        "detail": case.detail,
        "what now": f"{_STATES[state_of(case.verdict)]}: {case.verdict.why}",
        "arrived": arrived.isoformat(timespec="seconds"),
        "set aside": case.quarantined_at,
        "stream": f"{case.stream} {case.shard_id}",
        "sequence no.": case.sequence_number,
        "bytes": f"{case.bytes:,}",
    }
    print_table(["", ""], [[label, printable(value)] for label, value in said.items()])


def show_side_by_side(contents: Mapping[str, Content | None]) -> None:
    """What the record says and what the stores say, field by field."""
    fields = {name: {} if one is None else one.fields() for name, one in contents.items()}
    names = dict.fromkeys(field for one in fields.values() for field in one)
    rows = []
    for field in names:
        values = [_text(one.get(field)) for one in fields.values()]
        differs = "" if len(set(values)) == 1 else "*"
        rows.append([differs, printable(field), *(_cut(one, SHOWN_OF_A_FIELD) for one in values)])
    print_table(["", "field", *contents], rows)


def _age(seconds: float) -> str:
    """How long ago, short: what counts is how near the quarantine age it is."""
    hours = max(0, int(seconds / 3600))
    return f"{hours // 24} d" if hours >= 24 else f"{hours} h"  # noqa: PLR2004 - hours a day


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _cut(text: str, most: int) -> str:
    """Text from outside, harmless and short."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
