"""Somebody who uses the console as a browser does: the demo shows by it that the pages do what they say."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

_SECURE_HERE = ("https", "http")
"""As browsers do on their own machine, a cookie for TLS only is sent to it without TLS."""
_TIMEOUT = httpx.Timeout(20.0)


class VisitFailed(Exception):
    """A page is not there, or is not as it should be."""


@dataclass
class Form:
    """A form of a page: where it goes, what it says by itself, and its buttons (text, name, value)."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Seen:
    """A page: where it is, what it says, its forms."""

    url: str
    text: str
    forms: list[Form]


class ConsoleVisit:
    """A context manager: a browser's cookies, and the page that one is at."""

    def __init__(self, console_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._url = console_url
        jar = CookieJar(DefaultCookiePolicy(secure_protocols=_SECURE_HERE))
        self._client = httpx.Client(
            cookies=jar,
            follow_redirects=True,
            timeout=_TIMEOUT,
            trust_env=False,
            transport=transport,
            event_hooks={"request": [self._bring_cookies]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def _bring_cookies(self, request: httpx.Request) -> None:
        """By our jar's rules: httpx copies the cookies into a jar of its own for each request, also of a redirect."""
        request.headers.pop("cookie", None)
        self._client.cookies.set_cookie_header(request)

    def log_in(self, who: str, path: str) -> Seen:
        """By the development issuer as `who`; the page at `path`. Raises `VisitFailed` and `httpx.HTTPError`."""
        return self.press(self._look(self._client.get(f"{self._url}/oidc/login", params={"to": path})), who)

    def press(self, page: Seen, button: str, **typed: str) -> Seen:
        """The page behind the one button whose text is `button`, with what was typed before."""
        found = [(form, each) for form in page.forms for each in form.buttons if each[0] == button]
        if len(found) != 1:
            raise VisitFailed(f"{page.url} has {len(found)} buttons `{button}`")
        form, (_, name, value) = found[0]
        data = {**form.fields, **typed} | ({name: value} if name else {})
        return self._look(self._client.post(urljoin(page.url, form.action), data=data))

    def _look(self, answer: httpx.Response) -> Seen:
        if answer.status_code != httpx.codes.OK:
            raise VisitFailed(f"{answer.url.path} of the console answers {answer.status_code}")
        reader = _Reader()
        reader.feed(answer.text)
        return Seen(str(answer.url), " ".join(" ".join(reader.words).split()), reader.forms)


class _Reader(HTMLParser):
    """The words of a page, and its forms."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.forms: list[Form] = []
        self._button: tuple[str, str] | None = None
        self._pressed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(said.get("action", "")))
        elif tag == "input" and self.forms and said.get("type") == "hidden":
            self.forms[-1].fields[said.get("name", "")] = said.get("value", "")
        elif tag == "button":
            self._button, self._pressed = (said.get("name", ""), said.get("value", "")), []

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._button is not None and self.forms:
            words = " ".join(self._pressed).split()
            text = " ".join(word for word in words if any(each.isalnum() for each in word))  # a sign is not read
            self.forms[-1].buttons.append((text, *self._button))
            self._button = None

    def handle_data(self, data: str) -> None:
        (self.words if self._button is None else self._pressed).append(data)
