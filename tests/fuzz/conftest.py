"""How long to fuzz: a little by default, the same each time; at length by `make fuzz`."""

from hypothesis import HealthCheck, settings

_ALWAYS = settings(
    deadline=None,  # a loaded machine is no finding
    database=None,  # what is found is kept in tests/corpus, by name
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("short", _ALWAYS, max_examples=200, derandomize=True)
settings.register_profile("long", _ALWAYS, max_examples=8_000, derandomize=False)
settings.load_profile("short")
