"""Operations that change the mode or the encryption of a stream.

The stream is ACTIVE again when they return. The endpoint encrypts nothing and has no keys: it
accepts every KeyId.
"""

from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request, invalid
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.operations.account import check_on_demand_streams

# Changes in 24 hours. https://docs.aws.amazon.com/streams/latest/dev/switchingmodes.html,
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_StartStreamEncryption.html and
# API_StopStreamEncryption.html
MODE_CHANGES = 2
ENCRYPTION_CHANGES = 25


def update_stream_mode(endpoint: Endpoint, request: Request) -> Answer:
    """UpdateStreamMode: the shards stay as they are."""
    stream = endpoint.stream_of_arn(request["StreamARN"])
    mode = request["StreamModeDetails"]["StreamMode"]
    if "WarmThroughputMiBps" in request:
        raise invalid("this endpoint does not support WarmThroughputMiBps")
    if mode == stream.mode:
        return None
    now = endpoint.now()
    if endpoint.store.settings.mode_changes(stream, now) >= MODE_CHANGES:
        message = (
            f"the mode of {endpoint.describe(stream)} cannot change more than {MODE_CHANGES} times"
            " in 24 hours"
        )
        raise KinesisError("LimitExceededException", message)
    if mode == "ON_DEMAND":
        check_on_demand_streams(endpoint)
    endpoint.store.settings.set_mode(stream, mode, now)
    return None


def start_stream_encryption(endpoint: Endpoint, request: Request) -> Answer:
    """StartStreamEncryption: also replaces the key of a stream that is encrypted."""
    _set_encryption(endpoint, request, request["KeyId"])
    return None


def stop_stream_encryption(endpoint: Endpoint, request: Request) -> Answer:
    """StopStreamEncryption."""
    _set_encryption(endpoint, request, None)
    return None


def _set_encryption(endpoint: Endpoint, request: Request, key_id: str | None) -> None:
    stream = endpoint.stream(request)
    if request["EncryptionType"] != "KMS":
        raise invalid(f"the EncryptionType must be KMS, not {request['EncryptionType']}")
    if key_id == endpoint.key_id(stream):
        return
    now, settings = endpoint.now(), endpoint.store.settings
    started = key_id is not None
    if settings.encryption_changes(stream, now, started=started) >= ENCRYPTION_CHANGES:
        message = (
            f"encryption of {endpoint.describe(stream)} cannot be"
            f" {'started' if started else 'stopped'} more than {ENCRYPTION_CHANGES} times in 24"
            " hours"
        )
        raise KinesisError("LimitExceededException", message)
    settings.set_encryption(stream, key_id, now)
