"""The rendered listener keeps silent connections alive, and is patient with who does not answer."""

from pathlib import Path

from tests.edge.settings.test_connection_routes import manager, rendered

QUICKEST_TO_FORGET = 30
"""Seconds after which the least patient NATs drop a silent connection."""
PATIENCE = 300
"""Seconds that a phone may sleep, or be without a net."""


def test_a_silent_connection_is_kept_alive_and_its_client_given_time(tmp_path: Path) -> None:
    resources = rendered(tmp_path)
    config = manager(resources)
    tcp = resources["listeners"][0]["tcp_keepalive"]
    assert max(tcp["keepalive_time"], tcp["keepalive_interval"]) <= QUICKEST_TO_FORGET
    assert tcp["keepalive_time"] + tcp["keepalive_interval"] * tcp["keepalive_probes"] == PATIENCE
    ping = config["http2_protocol_options"]["connection_keepalive"]
    assert float(ping["interval"][:-1]) * 1.15 <= QUICKEST_TO_FORGET
    assert float(ping["timeout"][:-1]) == PATIENCE
    assert "interval_jitter" not in ping
