"""Who visits the console without a browser brings cookies as a browser does on its own machine.

No file of `tests/plants` reaches here; each of these, planted by hand, turns a test red: no cookies of our own jar, a
jar with the rules for TLS, and any number of buttons.
"""

import httpx
import pytest

from extproc.local.console_visit import ConsoleVisit, VisitFailed

SESSION = "__Host-session=1; Path=/; Secure; HttpOnly; SameSite=Lax"
PERSON = (
    '<form action="/in"><input type="hidden" name="state" value="s"><button name="who" value="ann">ann</button></form>'
)


def test_a_secure_cookie_goes_along_without_tls_also_through_redirects() -> None:
    brought: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        brought[request.url.path] = request.headers.get("cookie")
        match request.url.path:
            case "/oidc/login":
                return httpx.Response(302, headers={"location": "/people", "set-cookie": SESSION})
            case "/people":
                return httpx.Response(200, text=PERSON)
        assert request.content == b"state=s&who=ann"
        return httpx.Response(200, text="<p>welcome</p>")

    with ConsoleVisit("http://127.0.0.1:9", httpx.MockTransport(answer)) as visit:
        assert visit.log_in("ann", "/approvals").text == "welcome"
    assert brought == {"/oidc/login": None, "/people": "__Host-session=1", "/in": "__Host-session=1"}


def test_a_page_without_the_button_fails_the_visit() -> None:
    people = httpx.MockTransport(lambda _: httpx.Response(200, text=PERSON))
    with ConsoleVisit("http://127.0.0.1:9", people) as visit, pytest.raises(VisitFailed, match="0 buttons `bob`"):
        visit.log_in("bob", "/approvals")
