"""Planted bugs: a waiting client's connection and what keeps it."""

from tests.plants.plant import Plant

LISTENER = (
    "tests/edge/settings/test_listener_keepalive.py::test_a_silent_connection_is_kept_alive_and_its_client_given_time"
)

PLANTS = (
    Plant(
        "keepalive: the kernel does nothing for a silent client",
        "edge/bootstrap_listener.py",
        "        tcp_keepalive=_tcp_keepalive(),\n",
        "",
        LISTENER,
    ),
    Plant(
        "keepalive: a waiting client is pinged when its NAT has forgotten it",
        "edge/bootstrap_listener.py",
        "_PING_INTERVAL = timedelta(seconds=20)",
        "_PING_INTERVAL = timedelta(seconds=60)",
        LISTENER,
    ),
    Plant(
        "keepalive: a client that sleeps loses its place",
        "edge/bootstrap_listener.py",
        "KeepaliveSettings(interval=_PING_INTERVAL, timeout=_IDLE)",
        "KeepaliveSettings(interval=_PING_INTERVAL, timeout=_PING_INTERVAL)",
        LISTENER,
    ),
    Plant(
        "keepalive: the kernel gives a client up within two minutes",
        "edge/bootstrap_listener.py",
        "// _TCP_PROBE_SECONDS",
        "// _TCP_SILENT_SECONDS",
        LISTENER,
    ),
)
