"""Planted bugs: the port that another gateway's Envoy calls."""

from tests.plants.plant import Plant

CALLS = "tests/edge/session/test_gateway_port_calls.py"
SETTINGS = "tests/edge/settings/test_gateway_port.py"

PLANTS = (
    Plant(
        "gateway port: whoever has a certificate of the authority may call",
        "edge/server.py",
        "not self._callers.welcome(context.auth_context())",
        "not context.auth_context()",
        f"{CALLS}::test_only_the_named_certificate_may_call",
    ),
    Plant(
        "gateway port: no certificate is asked for",
        "edge/gateway_callers.py",
        "require_client_authentication=True",
        "require_client_authentication=False",
        f"{CALLS}::test_only_the_named_certificate_may_call",
    ),
    Plant(
        "gateway port: a name that only begins like the gateway's is enough",
        "edge/gateway_callers.py",
        'any(name.decode("utf-8", "replace") in tls.clients for name',
        'any(name.decode("utf-8", "replace").startswith(tuple(tls.clients)) for name',
        f"{SETTINGS}::test_a_name_counts_when_it_is_the_whole_name",
    ),
    Plant(
        "gateway port: the gate secret goes to a client behind another gateway",
        "edge/server.py",
        'replace(services, gate_secret="", snapshot',
        "replace(services, snapshot",
        f"{CALLS}::test_a_foreign_gateway_gets_metadata_in_place_of_the_gate_secret",
    ),
    Plant(
        "gateway port: another gateway is told the name of a route that it does not have",
        "edge/server.py",
        'gate_secret="", snapshot=by_name(services.snapshot))',
        'gate_secret="")',
        f"{CALLS}::test_a_foreign_gateway_is_told_the_connections_name_and_our_own_envoy_its_route",
    ),
    Plant(
        "gateway port: another gateway gets the connections of the first exchange for ever",
        "edge/server.py",
        "if named is None or current is not seen:",
        "if named is None:",
        f"{CALLS}::test_a_foreign_gateway_gets_each_new_snapshot_and_it_is_made_once",
    ),
    Plant(
        "gateway port: a response that was judged does not say so",
        "edge/wire.py",
        "    if not gate_secret:\n        message.dynamic_metadata",
        "    if gate_secret:\n        message.dynamic_metadata",
        f"{CALLS}::test_a_foreign_gateway_gets_metadata_in_place_of_the_gate_secret",
    ),
    Plant(
        "gateway port: a renewed certificate waits for a restart",
        "edge/gateway_callers.py",
        "        if found == last:\n            return None\n",
        "        return None\n",
        f"{CALLS}::test_a_renewed_certificate_counts_for_the_next_connection",
    ),
    Plant(
        "gateway port: without TLS it stands in the network",
        "edge/settings_checks.py",
        "ipaddress.ip_address(address).is_loopback",
        "ipaddress.ip_address(address).version",
        f"{SETTINGS}::test_without_tls_it_stands_nowhere_else",
    ),
    Plant(
        "gateway port: the kernel does not share it among the workers",
        "edge/server.py",
        '("grpc.so_reuseport", 1)',
        '("grpc.so_reuseport", 0)',
        f"{CALLS}::test_several_workers_share_the_port",
    ),
)
