"""Lockstep as a library: put image events onto a stream, in order for each image.

The names below are loaded on first use: `import lockstep` itself loads no AWS client.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstep.producing.producer import (
        GaveUpError,
        Producer,
        PutError,
        PutReport,
        Stamp,
        StreamRefusedError,
    )
    from lockstep.producing.sources import read_ahead
    from lockstep.stack.stack import read_local
    from shared.event import Event, Image, InvalidEventError

__all__ = [
    "Event",
    "GaveUpError",
    "Image",
    "InvalidEventError",
    "Producer",
    "PutError",
    "PutReport",
    "Stamp",
    "StreamRefusedError",
    "read_ahead",
    "read_local",
]

# A type checker must not see this function: it would accept any misspelled name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name."""
        match name:
            case "Event" | "Image" | "InvalidEventError":
                from shared import event as module  # noqa: PLC0415 - loaded on first use
            case "read_ahead":
                from lockstep.producing import sources as module  # noqa: PLC0415 - the same
            case "read_local":
                from lockstep.stack import stack as module  # noqa: PLC0415 - the same
            case _ if name in __all__:
                from lockstep.producing import producer as module  # noqa: PLC0415 - the same
            case _:
                message = f"module {__name__!r} has no attribute {name!r}"
                raise AttributeError(message)
        return getattr(module, name)

    def __dir__() -> list[str]:
        """The names that a user may import, and the module's own."""
        return sorted({*globals(), *__all__})
