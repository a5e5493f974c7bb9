"""How long to fuzz: shortly and always the same by default, long with `make fuzz`."""

from hypothesis import HealthCheck, settings

_ALWAYS = settings(
    deadline=None,  # a slow machine is not a finding
    database=None,  # findings are kept as files in tests/corpus
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("short", _ALWAYS, max_examples=200, derandomize=True)
settings.register_profile("long", _ALWAYS, max_examples=8_000, derandomize=False)
settings.load_profile("short")
