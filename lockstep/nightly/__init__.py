"""The audit that runs by itself: in Lambda every night, on one machine at an interval."""
