"""A stack: the addresses and names that every command needs, local or deployed."""

from pathlib import Path

import msgspec


class Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the four services answer; None means the SDK's own address for the region."""

    kinesis: str | None
    dynamodb: str | None
    opensearch: str
    s3: str | None


class Stack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One running system: its endpoints and the names of its parts.

    `state` is the local stack's folder, None for a deployed one. `index` is the writing alias;
    readers use the alias `INDEX-live`, which hides tombstones.
    """

    endpoints: Endpoints
    stream: str
    table: str
    index: str
    bucket: str
    region: str
    state: str | None = None


class StackNotFoundError(Exception):
    """No stack answers to that name; the message says what to do."""


def write_local(stack: Stack, state: Path) -> None:
    """Publish a local stack, in one step: readers see the whole file or the one before."""
    unfinished = state / "stack.json.new"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(stack)) + b"\n")
    unfinished.rename(state / "stack.json")


def read_local(state: Path) -> Stack:
    """The local stack that runs on this folder.

    Raises:
        StackNotFoundError: nothing was started there.
    """
    try:
        return msgspec.json.decode((state / "stack.json").read_bytes(), type=Stack)
    except FileNotFoundError:
        message = f"no local stack in {state}: start one with `lockstep up`"
        raise StackNotFoundError(message) from None
    except msgspec.MsgspecError as error:
        message = f"{state / 'stack.json'} is damaged ({error}): run `lockstep up` again"
        raise StackNotFoundError(message) from None
