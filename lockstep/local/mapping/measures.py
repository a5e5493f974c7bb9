"""What a mapping measures, as CloudWatch would have it."""

from typing import Protocol


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
