"""Every exception of the product survives a copy and pickle: worker processes send them."""

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import doors
import functions
import lockstep
import shared
from functions.search_images.invalid import InvalidParametersError, ParameterProblem
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.pictures.bucket.aligner import RestlessKeyError
from lockstep.pictures.upload.folder_upload import _RefusedError
from lockstep.producing.producer import GaveUpError, PutError, PutReport, StreamRefusedError
from lockstep.simulation.fakes.network import AnswerError, CutOffError
from lockstep.simulation.fakes.s3 import _NoSuchKeyError
from lockstep.simulation.violation import ViolationError
from lockstep.stores.objects import (
    UnfinishedDeleteError,
    UnfinishedReadError,
    UnfinishedWriteError,
)
from shared.event import Event, InvalidEventError
from shared.stamps import time_of

PACKAGES = (shared, doors, functions, lockstep)
NOT_PUT = (
    "the stream is gone",
    PutReport(1, 2, 3.0),
    (Event("image.deleted", "T1", 5, time_of(5)),),
)
# Every other exception takes one text.
ARGUMENTS: dict[type[BaseException], tuple[Any, ...]] = {
    AnswerError: (503, "SlowDown"),
    CutOffError: ({"Items": []}, 0.3),
    GaveUpError: NOT_PUT,
    InvalidEventError: ("version_ahead", "$.version: too far ahead"),
    InvalidParametersError: (ParameterProblem("q", "empty"), ParameterProblem("size", "too high")),
    KinesisError: ("ValidationException", "no such shard"),
    PutError: NOT_PUT,
    RestlessKeyError: ("pictures/T1.jpg", 100),
    StreamRefusedError: NOT_PUT,
    TableStoreError: ("OTSServerBusy", "Server is busy."),
    ViolationError: ("I4", "image T1 went back"),
    _RefusedError: ("other_content", "another picture is there"),
    _NoSuchKeyError: ({"Error": {"Code": "NoSuchKey", "Message": "no such key"}}, "GetObject"),
}
KEYWORDS: dict[type[BaseException], dict[str, str]] = {
    UnfinishedDeleteError: {"place": "s3://b/k", "why": "no rights"},
    UnfinishedReadError: {"place": "s3://b/k"},
    UnfinishedWriteError: {"place": "s3://b/k"},
}


def exception_classes() -> list[type[BaseException]]:
    modules = [
        importlib.import_module(module.name)
        for package in PACKAGES
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith("__main__")
    ]
    found = {
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, BaseException)
        and one.__module__ == module.__name__
    }
    return sorted(found, key=lambda one: one.__qualname__)


EXCEPTIONS = exception_classes()


def test_exceptions_of_all_packages_are_found() -> None:
    assert {one.__module__.partition(".")[0] for one in EXCEPTIONS} == {
        "functions",
        "lockstep",
        "shared",
    }
    assert set(ARGUMENTS) | set(KEYWORDS) <= set(EXCEPTIONS)


def pickled(one: BaseException) -> BaseException:
    again = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
    assert isinstance(again, BaseException)
    return again


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("of", EXCEPTIONS, ids=lambda one: one.__qualname__)
def test_a_copy_has_the_same_type_arguments_attributes_and_text(
    of: type[BaseException], copied: Callable[[BaseException], BaseException]
) -> None:
    made = of(*ARGUMENTS.get(of, () if of in KEYWORDS else ("a text",)), **KEYWORDS.get(of, {}))
    again = copied(made)
    assert type(again) is of
    assert again.args == made.args
    assert vars(again) == vars(made)
    assert str(again) == str(made)
