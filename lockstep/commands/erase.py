"""`lockstep erase`: remove all content of images, everywhere."""

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import NO, NOT_KNOWN
from lockstep.commands.options import (
    APPLY_HINT,
    NumberRange,
    apply_option,
    checked_id,
    examples,
    json_option,
)
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.console.times import printed
from lockstep.erasing.outcomes import ErasedImage, EraseResult, Erasure, Remains
from lockstep.erasing.receipt import Receipt, ReceiptedIds, erased_ids, new_salt, read_receipt
from lockstep.machine.files import replacing
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.erase import StackErasure, with_attribute
from lockstep.stack.use_cases.erasure_proof import ErasureProof, FoundAgain, prove
from shared.event import MAX_VERSION

_CODES: Mapping[EraseResult, int] = {"erased": 0, "not_applied": 0, "unknown": NOT_KNOWN}
# Ids and files that a command names.
_MOST_SHOWN = 10


class ErasedImages(msgspec.Struct, frozen=True):
    """What became of each image.

    Attributes:
        images: each image.
        unreadable: objects of which nobody knows whether they hold content, and why.
        remains: what only time removes.
        receipt: the file with the receipt; null if nothing was erased.
    """

    images: Sequence[ErasedImage]
    unreadable: Sequence[str]
    remains: Sequence[Remains]
    receipt: str | None


def _attribute(_: click.Context, __: click.Parameter, given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    name, equals, value = given.partition("=")
    if not (name and equals):
        raise click.BadParameter("write ATTRIBUTE=VALUE, for example artist=Unknown")
    return name.removeprefix("attributes."), value


@click.command(
    "erase",
    epilog=examples(
        "lockstep erase T02680",
        "lockstep erase T02680 T02681 --apply",
        "lockstep erase --where person=Ada",
        "lockstep erase --verify erased-20261130T120000Z.json",
        "lockstep erase --again receipts/*.json --apply",
    ),
)
@click.argument("given", metavar="[ID...|RECEIPT...]", nargs=-1)
@changed_stack_options(when=applies)
@json_option
@apply_option
@click.option(
    "--where",
    metavar="ATTRIBUTE=VALUE",
    callback=_attribute,
    help="Erase the images that have this attribute with exactly this value.",
)
@click.option(
    "--verify",
    "verifies",
    is_flag=True,
    help="Look whether what these receipts name is gone. Change nothing.",
)
@click.option(
    "--again",
    "erases_again",
    is_flag=True,
    help="Erase what these receipts name and a restore has brought back.",
)
@click.option(
    "--version",
    type=click.IntRange(1, MAX_VERSION),
    metavar="VERSION",
    help="Version of the deletion, for a source that counts versions. Default: the clock.",
)
@click.option(
    "--wait",
    type=NumberRange(min=0),
    metavar="SECONDS",
    default=300.0,
    show_default=True,
    help="Wait at most this long until both stores have the tombstones.",
)
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the receipt to this new file. Default: erased-TIME.json in this folder.",
)
def erase_command(
    given: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    applies: bool,
    where: tuple[str, str] | None,
    verifies: bool,
    erases_again: bool,
    version: int | None,
    wait: float,
    receipt: Path | None,
    as_json: bool,
) -> None:
    """Remove all content of images, everywhere.

    It removes the picture and its thumbnails with all versions, the item, the document, and what
    the bucket of the quarantine keeps. A tombstone stays in both stores, so that nothing comes
    back. It says what only time removes, and writes a receipt without ids. See
    docs/guides/erase.md.

    Exit code 0: nothing is left; 1: something is, it was uploaded again, or there is no such image;
    2: unknown, or refused before anything was erased.
    """
    _check_usage(given, where, applies=applies, verifies=verifies, erases_again=erases_again)
    clients = connected(name, state)
    if verifies:
        _verify(clients, [*map(Path, given)], as_json=as_json)
        return
    with _shown_steps() as on_step:
        ids, others = _chosen(clients, given, where, on_step, erases_again=erases_again)
        if version is not None and len(ids) != 1:
            raise click.UsageError("--version is for one image: each has versions of its own")
        if where is not None or erases_again:
            notes.print(f"{counted(len(ids), 'image')} to erase:")
            for one in ids:
                notes.print(printable(f"  {one}"))
        erasure = StackErasure(clients, name, on_step)
        file = None
        if applies and ids:
            file, done = _erased_with_receipt(
                erasure, clients, name, ids, receipt, version=version, seconds=wait
            )
        else:
            done = erasure.erase(ids, version=version, seconds=wait, applies=False)
    done = msgspec.structs.replace(done, images=[*done.images, *map(_again, others)])
    if as_json:
        print_json(
            ErasedImages(
                done.images, done.unreadable, done.remains, None if file is None else str(file)
            ),
            applied=applies,
        )
    else:
        _show(done, file, applies=applies)
    sys.exit(exit_code(done))


def exit_code(done: Erasure) -> int:
    """0: nothing is left. 1: something is, or there was nothing. 2: it is unknown."""
    codes = {_CODES.get(one.result, NO) for one in done.images}
    if NO in codes:
        return NO
    return NOT_KNOWN if done.unreadable else max(codes, default=0)


def _check_usage(
    given: Sequence[str],
    where: tuple[str, str] | None,
    *,
    applies: bool,
    verifies: bool,
    erases_again: bool,
) -> None:
    if verifies and (erases_again or applies):
        raise click.UsageError("--verify changes nothing: give it alone")
    if where is not None and (given or verifies or erases_again):
        raise click.UsageError("give --where, or IDs, or receipts")
    if where is None and not given:
        what = "a receipt" if verifies or erases_again else "an ID, or --where"
        raise click.UsageError(f"give {what}")


@contextmanager
def _shown_steps() -> Iterator[Callable[[str], None]]:
    """Show what is done or waited for."""
    with notes.status("looking what there is") as status:
        yield status.update


def _chosen(
    clients: Clients,
    given: Sequence[str],
    where: tuple[str, str] | None,
    on_step: Callable[[str], None],
    *,
    erases_again: bool,
) -> tuple[Sequence[str], Sequence[FoundAgain]]:
    """The images to erase, and those of receipts that were uploaded again."""
    if erases_again:
        found = prove(clients, _receipted(clients, [*map(Path, given)]), on_step).images
        return (
            [one.image_id for one in found if one.result == "came_back"],
            [one for one in found if one.result == "uploaded_again"],
        )
    if where is not None:
        on_step("reading both stores")
        return with_attribute(clients, *where), ()
    return [*dict.fromkeys(map(checked_id, given))], ()


def _receipted(clients: Clients, files: Sequence[Path]) -> ReceiptedIds:
    return ReceiptedIds([read_receipt(one, clients.stack.table) for one in files])


def _erased_with_receipt(
    erasure: StackErasure,
    clients: Clients,
    name: str | None,
    ids: Sequence[str],
    file: Path | None,
    *,
    version: int | None,
    seconds: float,
) -> tuple[Path, Erasure]:
    """Erase, with a receipt that is there before: an interruption loses no hash."""
    began = dt.datetime.fromtimestamp(int(clients.clock.now()), dt.UTC)
    file = file or Path(f"erased-{began:%Y%m%dT%H%M%SZ}.json")
    if file.exists():
        raise click.UsageError(f"{file} exists: give another --receipt")
    salt = new_salt()

    def receipt(images: Sequence[ErasedImage], remains: Sequence[Remains]) -> bytes:
        at = dt.datetime.fromtimestamp(int(clients.clock.now()), dt.UTC)
        stack = clients.stack
        made = Receipt(
            1, name, stack.table, stack.region, at, salt, erased_ids(images, salt, at), remains
        )
        return msgspec.json.format(msgspec.json.encode(made)) + b"\n"

    with replacing(file) as replace:

        def begin() -> None:
            unfinished = [ErasedImage(one, "not_applied", "", {}) for one in ids]
            replace(receipt(unfinished, ()))

        done = erasure.erase(ids, version=version, seconds=seconds, applies=True, on_begin=begin)
        replace(receipt(done.images, done.remains))
    return file, done


def _again(one: FoundAgain) -> ErasedImage:
    """An image of a receipt that was uploaded again: it is not erased."""
    detail = "uploaded again since: the new image stays"
    return ErasedImage(
        one.image_id, "uploaded_again", detail, one.found, uploaded_at=one.uploaded_at
    )


def _show(done: Erasure, file: Path | None, *, applies: bool) -> None:
    for one in done.images:
        found = ", ".join(f"{place} {count:,}" for place, count in one.found.items())
        detail = f"{one.detail}{f' ({found})' if found else ''}"
        answers.print(printable(f"{one.image_id}: {one.result.replace('_', ' ')}: {detail}"))
    for line in done.unreadable[:_MOST_SHOWN]:
        answers.print(printable(f"NOT read: {line}"))
    if len(done.unreadable) > _MOST_SHOWN:
        answers.print(f"NOT read: {len(done.unreadable) - _MOST_SHOWN:,} more objects (--json)")
    if not done.images:
        answers.print("nothing to erase")
        return
    answers.print("only time removes:")
    for each in done.remains:
        until = "no date" if each.until is None else f"until {printed(each.until)}"
        answers.print(printable(f"  {each.what}: {until}: {each.how}"))
    if file is not None:
        answers.print(printable(f"receipt: {file}"))
    if not applies:
        answers.print(APPLY_HINT)


def _verify(clients: Clients, files: Sequence[Path], *, as_json: bool) -> None:
    """Prove that what receipts name is gone."""
    ids = _receipted(clients, files)
    with _shown_steps() as on_step:
        proof = prove(clients, ids, on_step)
    if as_json:
        print_json(proof, applied=False)
    else:
        _show_proof(proof)
    if proof.result == "gone":
        sys.exit(NOT_KNOWN if proof.unreadable else 0)
    sys.exit(NO)


def _show_proof(proof: ErasureProof) -> None:
    for one in proof.images:
        found = ", ".join(f"{place} {count:,}" for place, count in one.found.items())
        again = "" if one.uploaded_at is None else f"a new image since {printed(one.uploaded_at)}"
        detail = "; ".join(filter(None, [found, again]))
        answers.print(printable(f"{one.image_id}: {one.result.replace('_', ' ')}: {detail}"))
    for line in proof.unreadable:
        answers.print(printable(f"NOT read: {line}"))
    gone = proof.erased - len(proof.images)
    answers.print(f"gone: {gone:,} of {counted(proof.erased, 'erased image')}")
