"""Who is counted and recorded where proxies stand before the console, and what becomes of whoever fails too often."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from extproc.console.client_address import Client, find_client
from extproc.console.token import GRANT_TYPE
from tests.console.conftest import World

PROXIES = (ip_network("127.0.0.1"), ip_network("10.1.0.0/16"), ip_network("2001:db8:1::/64"))
CASES: dict[str, tuple[str, list[str], str]] = {
    "a proxy": ("127.0.0.1", ["192.0.2.7"], "192.0.2.7"),
    "two proxies": ("127.0.0.1", ["192.0.2.7, 10.1.2.3"], "192.0.2.7"),
    "two headers": ("127.0.0.1", ["192.0.2.7", "10.1.2.3"], "192.0.2.7"),
    "what the client wrote": ("127.0.0.1", ["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
    "nobody's proxy": ("192.0.2.9", ["192.0.2.7"], "192.0.2.9"),
    "no header": ("127.0.0.1", [], "127.0.0.1"),
    "no address": ("127.0.0.1", ["192.0.2.7, unknown"], "127.0.0.1"),
    "no address further left": ("127.0.0.1", ["unknown, 10.1.2.3"], "10.1.2.3"),
    "only proxies": ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
    "a port": ("127.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
    "IPv6": ("2001:db8:1::1", ["[2001:db8:2::7]:4711"], "2001:db8:2::7"),
    "IPv4 within IPv6": ("::ffff:127.0.0.1", ["192.0.2.7"], "192.0.2.7"),
    "too many": ("127.0.0.1", ["192.0.2.7" + ",10.1.2.3" * 16], "10.1.2.3"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_client_is_the_last_hop_that_is_no_proxy(case: tuple[str, list[str], str]) -> None:
    peer, forwarded, client = case
    assert find_client(peer, 1, forwarded, PROXIES).address == client


def test_without_proxies_no_header_is_believed() -> None:
    assert find_client("127.0.0.1", 4711, ["192.0.2.7"], ()) == Client("127.0.0.1", "127.0.0.1:4711")
    assert find_client("2001:db8::1", 4711, [], ()).source == "[2001:db8::1]:4711"


async def test_behind_a_proxy_one_client_locks_nobody_else_out(world: World) -> None:
    world.parts = replace(world.parts, settings=replace(world.parts.settings, proxies=PROXIES))
    noisy, calm = {"x-forwarded-for": "198.51.100.1, 192.0.2.7"}, {"x-forwarded-for": "192.0.2.8"}
    async with world.browser("127.0.0.1") as browser:
        tried = [await browser.post("/saml/acs", data={"SAMLResponse": "x"}, headers=noisy) for _ in range(11)]
        assert tried[-1].status_code == 429
        assert (await browser.post("/saml/acs", data={"SAMLResponse": "x"}, headers=calm)).status_code == 403
    record = world.log.records[0]
    assert (record.src_address, record.detail["proxy"]) == ("192.0.2.7", "127.0.0.1:4711")


async def test_failures_at_the_token_endpoint_leave_the_login_open(world: World) -> None:
    async with world.browser() as browser:
        given = {"grant_type": GRANT_TYPE, "assertion": "x"}
        tried = [(await browser.post("/token", data=given)).status_code for _ in range(11)]
        assert tried == [400] * 10 + [429]
        await browser.get("/saml/login")
        assert (await browser.post("/saml/acs", data={"SAMLResponse": "x"})).status_code == 403


async def test_a_lock_is_recorded_once(world: World) -> None:
    async with world.browser() as browser:
        for _ in range(13):
            await browser.post("/saml/acs", data={"SAMLResponse": "x"})
        assert world.refusals == ["unsolicited"] * 10 + ["too_many_failures"]
        lock = world.log.records[-1]
        assert (lock.src_address, lock.detail["seconds"], lock.http_status) == ("192.0.2.7:4711", 60, 429)
        world.now[0] += 60
        for _ in range(10):
            await browser.post("/saml/acs", data={"SAMLResponse": "x"})
    assert world.refusals.count("too_many_failures") == 2
