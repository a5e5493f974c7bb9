"""What is wrong with the parameters of a request."""

import msgspec


class ParameterProblem(msgspec.Struct, frozen=True):
    """What is wrong with one parameter."""

    parameter: str
    detail: str


class InvalidParametersError(Exception):
    """A request has invalid parameters; says what is wrong with each."""

    def __init__(self, *errors: ParameterProblem) -> None:
        super().__init__(*errors)
        self.errors = list(errors)

    def __str__(self) -> str:
        return "; ".join(f"{one.parameter}: {one.detail}" for one in self.errors)
