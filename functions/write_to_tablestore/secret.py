"""The stored secret: in Secrets Manager, or a parameter of Systems Manager."""

from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.sink import MisconfiguredError


def stored_secret(arn: str | None, client: Callable[..., Any]) -> str | None:
    """The text of a secret in Secrets Manager, or of a parameter in Systems Manager.

    Args:
        arn: its ARN; None if the environment has the secret itself.
        client: makes a client of a service, as `boto3.client` does.

    Raises:
        MisconfiguredError: it cannot be read.
    """
    if not arn:
        return None
    config = Config(connect_timeout=1, read_timeout=4, retries={"total_max_attempts": 2})
    found: str
    try:
        if ":ssm:" in arn:
            parameters = client("ssm", config=config)
            found = parameters.get_parameter(Name=arn, WithDecryption=True)["Parameter"]["Value"]
        else:
            secrets = client("secretsmanager", config=config)
            found = secrets.get_secret_value(SecretId=arn)["SecretString"]
    except (BotoCoreError, ClientError, KeyError) as error:
        raise MisconfiguredError(f"OTS_SECRET_ARN {arn}: {error}") from error
    return found
