"""Histories of a replica in Table Store: `lockstep simulate --replica tablestore`."""

# First of all: it silences the warning of the SDK about native code.
from functions import write_to_tablestore  # noqa: F401
