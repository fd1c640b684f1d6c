"""What every property test shares: a busy machine is no reason to fail."""

from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("any-machine"), max_examples=20_000)
settings.load_profile("any-machine")
