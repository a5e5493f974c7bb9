"""The violation: what must always hold (docs/internals/invariants.md), and did not."""


class ViolationError(BaseException):
    """One of I1 to I8 is broken; says which, and by what.

    No `Exception`: it may be found in the middle of code of ours, which must not catch it.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
