"""What a mapping measures, as CloudWatch would have it."""

from typing import Protocol

from lockstep.local.metrics import Emit, EmittedMetric, of_function


class Measures(Protocol):
    """Emits the metrics of CloudWatch about a mapping and about its function."""

    def of_mapping(self, name: str, value: float) -> None:
        """Emit a metric of the event source mapping."""
        ...

    def of_function(self, name: str, value: float) -> None:
        """Emit a metric of the function."""
        ...


class Unmeasured:
    """Emits nothing."""

    def of_mapping(self, name: str, value: float) -> None:
        """Ignore it."""

    def of_function(self, name: str, value: float) -> None:
        """Ignore it."""


class EmittedMeasures:
    """Emits the metrics by AWS's names and dimensions.

    Args:
        emit: emits a value.
        mapping_uuid: the value of the dimension `EventSourceMappingUUID`.
        function: the value of the dimension `FunctionName`.
    """

    def __init__(self, emit: Emit, *, mapping_uuid: str, function: str) -> None:
        self._emit = emit
        self._dimensions = (("EventSourceMappingUUID", mapping_uuid),)
        self._function = function

    def of_mapping(self, name: str, value: float) -> None:
        """Emit a metric of the event source mapping."""
        self._emit(EmittedMetric("AWS/Lambda", name, self._dimensions), value)

    def of_function(self, name: str, value: float) -> None:
        """Emit a metric of the function."""
        self._emit(of_function(name, self._function), value)
