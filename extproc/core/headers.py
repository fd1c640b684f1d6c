"""HTTP headers as Envoy sends them: lower-case names, raw byte values, order and repeats kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Headers:
    """Pairs of a lower-case name (pseudo-headers such as `:path` among them) and a raw value."""

    pairs: tuple[tuple[str, bytes], ...] = field(repr=False)

    def get(self, name: str) -> bytes | None:
        """The first value of `name`, or None."""
        for key, value in self.pairs:
            if key == name:
                return value
        return None

    def all(self, name: str) -> tuple[bytes, ...]:
        """Every value of `name`, in order."""
        return tuple(value for key, value in self.pairs if key == name)

    def text(self, name: str) -> str:
        """The first value of `name` as Latin-1 text, stripped; the empty string when absent."""
        value = self.get(name)
        return "" if value is None else value.decode("latin-1").strip()

    def is_encoded(self) -> bool:
        """Whether any `content-encoding` says more than `identity`: which of several counts is the reader's choice."""
        return any(value.strip().lower() not in (b"", b"identity") for value in self.all("content-encoding"))

    def content_type(self) -> str:
        """The content type; with several different ones a text that is none, because the reader chooses among them."""
        return ", ".join(dict.fromkeys(value.decode("latin-1").strip() for value in self.all("content-type")))

    def names(self) -> Iterator[str]:
        """Every name, with repeats."""
        return (key for key, _ in self.pairs)

    def size_bytes(self) -> int:
        """Names and values together, without framing."""
        return sum(len(key) + len(value) for key, value in self.pairs)
