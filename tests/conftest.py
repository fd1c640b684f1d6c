"""What every property test shares: a busy machine is no reason to fail, nor is luck; `make fuzz` draws anew."""

from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("fuzz", settings.get_profile("any-machine"), derandomize=False, max_examples=20_000)
settings.load_profile("any-machine")
