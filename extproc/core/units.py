"""Durations and sizes as people write them: `30s`, `5m`, `16MiB`. The JSON Schemas carry the same patterns."""

import re

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)")


def parse_duration(text: str) -> float:
    """Seconds of `250ms`, `30s`, `1.5m`, `1h` or `400d`. Anything else is a ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("not a duration")
    count, unit = found.groups()
    return float(count) / 1000 if unit == "ms" else float(count) * _SECONDS[unit]


def write_duration(seconds: float) -> str:
    """To the millisecond, in the largest unit of which it is a whole number: `90s`, `5m`, `1d`."""
    left = round(seconds * 1000)
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(left, round(_SECONDS[unit] * 1000))
        if not rest and (count or unit == "s"):
            return f"{count}{unit}"
    return f"{left}ms"


def parse_size(text: str) -> int:
    """Bytes of `512B`, `64KiB`, `16MiB` or `1GiB`. Anything else is a ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("not a size")
    count, unit = found.groups()
    return int(count) * _BYTES[unit]
