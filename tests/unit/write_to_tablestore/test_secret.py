"""The stored secret: in Secrets Manager, or a parameter of Systems Manager."""

import boto3
import pytest
from moto import mock_aws

from functions.write_to_tablestore.secret import stored_secret
from shared.sink import MisconfiguredError

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)


@mock_aws
def test_a_secret_of_secrets_manager_is_read() -> None:
    client = boto3.client("secretsmanager")
    arn = client.create_secret(Name="ots", SecretString="hidden")["ARN"]
    assert stored_secret(arn, boto3.client) == "hidden"


@mock_aws
def test_a_parameter_of_systems_manager_is_read() -> None:
    boto3.client("ssm").put_parameter(Name="/ots", Value="hidden", Type="SecureString")
    arn = f"arn:aws:ssm:{REGION}:123456789012:parameter/ots"
    assert stored_secret(arn, boto3.client) == "hidden"


@mock_aws
@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:secretsmanager:{REGION}:123456789012:secret:none-AbCdEf",
        f"arn:aws:ssm:{REGION}:123456789012:parameter/none",
    ],
)
def test_a_secret_that_cannot_be_read_stops_in_one_line(arn: str) -> None:
    with pytest.raises(MisconfiguredError, match=f"OTS_SECRET_ARN {arn}: ") as said:
        stored_secret(arn, boto3.client)
    assert "\n" not in str(said.value)


def test_without_an_arn_the_environment_has_the_secret() -> None:
    assert stored_secret(None, boto3.client) is None
    assert stored_secret("", boto3.client) is None
