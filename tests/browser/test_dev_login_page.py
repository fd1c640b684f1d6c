"""The development login in a real browser."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from extproc.local.issuer import start_issuer
from tests.browser.chromium import PHONE, Visitor, overflow, violations

ASKED = {
    "response_type": "code",
    "client_id": "console",
    "code_challenge": "x" * 43,
    "code_challenge_method": "S256",
    "state": '"><script>alert(1)</script>',
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_development_login_is_accessible_and_leads_back(
    visit: Callable[..., Visitor], tmp_path: Path, scheme: str
) -> None:
    with start_issuer(tmp_path / "issuer") as issuer:
        visitor = visit(issuer.url, color_scheme=scheme, viewport=PHONE)
        back = f"{issuer.url}/jwks"
        visitor.open("/authorize?" + urlencode({**ASKED, "redirect_uri": back}))
        assert visitor.headings() == ["Development login"]
        assert violations(visitor.page) == []
        assert overflow(visitor.page) == 0
        visitor.keep(f"dev-login-{scheme}")
        visitor.page.get_by_role("button", name="approver", exact=True).click()
        visitor.page.wait_for_url(f"{back}?code=*")
