"""The errors of the endpoint, with the codes and messages that Table Store uses.

Sources: docs/internals/tablestore.md.
"""


class TableStoreError(Exception):
    """A request or a row is refused. SDKs raise an exception with this code and this message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status of an answer that is this error."""
        return _STATUS.get(self.code, 400)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


_STATUS = {
    "OTSAuthFailed": 403,
    "OTSCapacityUnitExhausted": 403,
    "OTSConditionCheckFail": 403,
    "OTSFlowControl": 429,
    "OTSInternalServerError": 500,
    "OTSMethodNotAllowed": 405,
    "OTSNoPermissionAccess": 403,
    "OTSNotEnoughCapacityUnit": 403,
    "OTSObjectAlreadyExist": 409,
    "OTSObjectNotExist": 404,
    "OTSPartitionUnavailable": 503,
    "OTSQuotaExhausted": 403,
    "OTSRequestBodyTooLarge": 413,
    "OTSRowOperationConflict": 409,
    "OTSServerBusy": 503,
    "OTSServerUnavailable": 503,
    "OTSTableNotReady": 404,
    "OTSTimeout": 503,
}


def invalid(message: str) -> TableStoreError:
    """A parameter of the request is wrong."""
    return TableStoreError("OTSParameterInvalid", message)


def unsupported(what: str) -> TableStoreError:
    """Table Store can do this, but this endpoint cannot."""
    return TableStoreError(
        "OTSUnsupportOperation", f"the Table Store of this machine does not support {what}."
    )


def denied(message: str) -> TableStoreError:
    """The request is not signed as it must be, or not for this instance."""
    return TableStoreError("OTSAuthFailed", message)


def no_table() -> TableStoreError:
    """The table does not exist."""
    return TableStoreError("OTSObjectNotExist", "Requested table does not exist.")


def wrong_key(message: str) -> TableStoreError:
    """The key does not fit the table's schema."""
    return TableStoreError("OTSInvalidPK", message)


def condition_failed() -> TableStoreError:
    """The row is not as the condition expects."""
    return TableStoreError("OTSConditionCheckFail", "Condition check failed.")
