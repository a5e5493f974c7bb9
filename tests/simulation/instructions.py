"""Crash at a chosen bytecode instruction of chosen modules (sys.monitoring)."""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FunctionType, ModuleType

TOOL_IDS = range(6)  # as many as sys.monitoring has


class ProcessGoneError(BaseException):
    """The process crashed here. A `BaseException`, so that our code does not catch it."""


def code_of(modules: Iterable[ModuleType]) -> frozenset[CodeType]:
    """The code of every function in these modules, also of lambdas and generators."""
    files = {module.__file__ for module in modules}
    functions = [one for one in gc.get_objects() if isinstance(one, FunctionType)]
    tops = {one.__code__ for one in functions if one.__code__.co_filename in files}
    return frozenset(inner for top in tops for inner in _nested(top))


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


class Instructions:
    """The instructions that the watched code executes, in order."""

    def __init__(self, tool: int, codes: Iterable[CodeType]) -> None:
        self._tool = tool
        self._codes = tuple(codes)

    def count(self, run: Callable[[], object]) -> Counter[CodeType]:
        """The number of instructions that a run executes, by code object."""
        counted: Counter[CodeType] = Counter()

        def executed(code: CodeType, _offset: int) -> None:
            counted[code] += 1

        with self._watching(self._codes), self._calling(executed):
            run()
        return counted

    def of(self, code: CodeType) -> AbstractContextManager[None]:
        """Watch only this code during the block; all other code runs at its usual speed."""
        return self._watching([code])

    def crash(self, run: Callable[[], object], *, at: int, then: Callable[[], None]) -> None:
        """Run up to this instruction of the code of `of`, counted from 1; call `then` and crash.

        Python unwinds the stack after the crash: `then` must ensure that this
        has no effect.

        Raises:
            ProcessGoneError: at that instruction, unless the run ended before.
        """
        left = at

        def executed(_code: CodeType, _offset: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                then()
                raise ProcessGoneError

        with self._calling(executed):
            run()

    @contextmanager
    def _watching(self, codes: Collection[CodeType]) -> Iterator[None]:
        try:
            for code in codes:
                sys.monitoring.set_local_events(self._tool, code, sys.monitoring.events.INSTRUCTION)
            yield
        finally:
            for code in codes:
                sys.monitoring.set_local_events(self._tool, code, sys.monitoring.events.NO_EVENTS)

    @contextmanager
    def _calling(self, executed: Callable[[CodeType, int], None]) -> Iterator[None]:
        event = sys.monitoring.events.INSTRUCTION
        sys.monitoring.register_callback(self._tool, event, executed)
        try:
            yield
        finally:
            sys.monitoring.register_callback(self._tool, event, None)


@contextmanager
def watched(codes: Iterable[CodeType]) -> Iterator[Instructions]:
    """Watch this code during the block."""
    tool = next(one for one in TOOL_IDS if sys.monitoring.get_tool(one) is None)
    sys.monitoring.use_tool_id(tool, "crashes")
    try:
        yield Instructions(tool, codes)
    finally:
        sys.monitoring.free_tool_id(tool)
