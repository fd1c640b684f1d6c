"""Where the bootstrap that an Envoy runs on differs from the one that our configuration renders.

The two are written by different libraries. What each may leave out (defaults) or write in its own way (durations,
64-bit numbers) is made alike first.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_DURATION = re.compile(r"-?[0-9]+(\.[0-9]+)?s")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_OWN: Final = ("user_agent_name", "user_agent_build_version", "user_agent_version", "extensions", "client_features")
"""What Envoy says of itself in `node`."""
_EMPTY: Final[tuple[Any, ...]] = (None, "", {}, [])


def find_differences(running: Mapping[str, Any], rendered: Mapping[str, Any]) -> tuple[str, ...]:
    """Places, such as `static_resources.clusters[model_chat].connect_timeout`, in their order; never values, which may
    be the gate secret."""
    own = dict(running.get("node", {}))
    alike = {**running, "node": {key: value for key, value in own.items() if key not in _OWN}}
    return tuple(_differences("", _plain(alike), _plain(rendered)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {str(key): _plain(each) for key, each in value.items()}
        return {key: each for key, each in plain.items() if each not in _EMPTY}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return _plain_text(value)
    return value


def _plain_text(text: str) -> Any:
    if _DURATION.fullmatch(text):
        return float(text[:-1])
    if _NUMBER.fullmatch(text):
        return float(text)
    return text.strip()


def _differences(place: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            yield from _differences(f"{place}.{key}".lstrip("."), one.get(key), other.get(key))
        return
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(f"{place}[{_name(left, index)}]", left, right)
        return
    if not _alike(one, other):
        yield place or "."


def _name(value: Any, index: int) -> str:
    """What people call it, or where it stands."""
    name = value.get("name") if isinstance(value, Mapping) else None
    return name if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_./-]{1,80}", name) else str(index)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)
