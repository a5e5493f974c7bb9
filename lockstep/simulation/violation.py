"""The violation of an invariant (docs/internals/invariants.md)."""


class ViolationError(BaseException):
    """One of I1 to I8 is broken. The message says which one, and how.

    A `BaseException`, because our own code must not catch it.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(invariant, detail)
        self.invariant = invariant
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"
