"""The violation of an invariant (docs/internals/invariants.md)."""


class ViolationError(BaseException):
    """One of I1 to I8 is broken; the message says which, and how.

    A `BaseException`: it may be raised inside our own code, which must not catch it.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
