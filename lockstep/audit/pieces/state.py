"""The state of an audit in pieces: one object, written by one invocation at a time."""

import secrets
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from lockstep.audit.recheck import Findings
from lockstep.stores.index import IndexPoint
from lockstep.stores.objects import TaggedObjects

# All that the audit writes. No consumer may write there.
AUDITS = "audits/"
STATE = f"{AUDITS}state.json"
# The entries of the present audit; deleted when it ends.
WORK = f"{AUDITS}work/"
REPORTS = f"{AUDITS}reports/"


class AuditState(msgspec.Struct, frozen=True):
    """How far an audit has come. Times are in seconds since 1970.

    `run` names the audit. `values`: whether it compares every field. `parts` is the number of
    partitions. `holder` works on it until `held_until`; "" if nobody does.

    `position` is where the scan of the table continues. `table` and `index` are the keys of the
    segments, and `point` is how far the index was read. `points_lost` counts points in time that
    OpenSearch forgot. `part` is the partition to compare next, after the image `after`.
    `differences` are the keys of the differences found, `listed` their number.

    `failures` counts invocations in a row that could not read a store, `waits` those that waited
    for a consumer. `ended`: when it ended, with `result`. `values_ended`: when the last audit of
    all values ended.
    """

    run: str
    values: bool
    started: float
    parts: int
    step: Literal["table", "index", "compare", "ended"] = "table"
    holder: str = ""
    held_until: float = 0.0
    position: str | None = None
    table: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    point: IndexPoint | None = None
    points_lost: int = 0
    part: int = 0
    after: str = ""
    differences: tuple[str, ...] = ()
    listed: int = 0
    findings: Findings = msgspec.field(default_factory=Findings)
    failures: int = 0
    waits: int = 0
    reason: str | None = None
    invocations: int = 0
    seconds: float = 0.0
    units: float = 0.0
    ended: float | None = None
    result: str | None = None
    values_ended: float | None = None

    @property
    def work(self) -> str:
        """The prefix of what this audit keeps until it ends."""
        return f"{WORK}{self.run}/"


class LeaseLostError(Exception):
    """Another invocation has taken over: this one must not write any more."""


class HeldState:
    """The state, held by one invocation: each save fails once another one has taken over."""

    def __init__(self, objects: TaggedObjects, state: AuditState, tag: str) -> None:
        """Hold a state that was written with this ETag."""
        self.objects = objects
        self.state = state
        self._tag = tag

    def save(self, **changes: Any) -> None:
        """Change the state and store it durably.

        Raises:
            LeaseLostError: another invocation has taken over.
        """
        changed = msgspec.structs.replace(self.state, **changes)
        tag = self.objects.replace(STATE, _encoder.encode(changed), self._tag)
        if tag is None:
            raise LeaseLostError
        self.state, self._tag = changed, tag

    def keep(self, name: str, body: bytes) -> str:
        """Store an object of this audit, which only a saved state makes valid; return its key.

        The key has the name of the holder: whoever has lost the lease overwrites nothing.
        """
        key = f"{self.state.work}{name}-{self.state.holder}"
        self.objects.write(key, body)
        return key

    def release(self, **changes: Any) -> None:
        """Save, and let the next invocation go on."""
        self.save(holder="", held_until=0.0, **changes)


def read_state(objects: TaggedObjects) -> tuple[AuditState | None, str | None]:
    """The stored state and its ETag.

    The state is None if there is none, or if another release wrote it in another form.
    """
    found = objects.read_tagged(STATE)
    if found is None:
        return None, None
    body, tag = found
    try:
        return _decoder.decode(body), tag
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, tag


def hold(
    objects: TaggedObjects,
    *,
    now: float,
    until: float,
    begin: Callable[[AuditState | None], AuditState | None],
) -> HeldState | None:
    """Hold the audit that is under way, or a new one.

    A lease that has expired is taken over: its invocation was killed.

    Args:
        objects: the bucket.
        now: the current time.
        until: when this invocation has certainly ended.
        begin: the new audit after one that has ended (None: after none), if it is time.

    Returns:
        None if another invocation holds it, or no audit is due.
    """
    state, tag = read_state(objects)
    if state is not None and state.held_until > now:
        return None
    if state is None or state.step == "ended":
        state = begin(state)
    if state is None:
        return None
    held = msgspec.structs.replace(
        state,
        holder=secrets.token_hex(8),
        held_until=until,
        invocations=state.invocations + 1,
    )
    written = objects.replace(STATE, _encoder.encode(held), tag)
    return None if written is None else HeldState(objects, held, written)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AuditState)
