"""What the headers let a browser say about where a form comes from."""

from tests.console.conftest import World


async def test_a_browser_may_say_that_a_form_is_our_own(world: World) -> None:
    """By Fetch, a page whose policy is `no-referrer` sends `Origin: null` with its forms: they would be refused."""
    async with world.browser() as browser:
        assert (await browser.get("/")).headers["referrer-policy"] == "same-origin"
