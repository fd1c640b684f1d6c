"""Planted bugs: which model server a request reaches, with what, and who says so."""

from tests.plants.plant import Plant

ROUTES = "tests/edge/settings/test_connection_routes.py::"
CHOICE = "tests/core/test_connections.py::"
WIRE = "tests/edge/session/test_wire_answers.py::"


PLANTS = (
    Plant(
        "connections: a path alone leads to a model server",
        "edge/bootstrap_routes.py",
        'return route.RouteMatch(prefix="/", headers=[said])',
        'return route.RouteMatch(prefix="/")',
        ROUTES + "test_a_route_to_a_model_server_demands_the_services_choice",
    ),
    Plant(
        "connections: a client's choice is looked at before it is taken off",
        "edge/bootstrap_listener.py",
        "        early_header_mutation_extensions=[_without_choice()],\n",
        "",
        ROUTES + "test_a_clients_choice_is_taken_off_before_a_route_is_looked_for",
    ),
    Plant(
        "connections: the model server reads the choice",
        "edge/bootstrap_routes.py",
        "        request_headers_to_remove=[CONNECTION_HEADER],\n",
        "",
        ROUTES + "test_a_route_to_a_model_server_demands_the_services_choice",
    ),
    Plant(
        "connections: the choice is said and no route looked for",
        "edge/wire.py",
        "        common.clear_route_cache = True\n",
        "",
        WIRE + "test_a_request_that_goes_on_has_its_route_looked_for_again",
    ),
    Plant(
        "connections: a longer suffix of a host is no better",
        "core/connections.py",
        'max((len(name) for name in hosts if name[:2] == "*."',
        'max((2 for name in hosts if name[:2] == "*."',
        CHOICE + "test_the_most_specific_host_decides",
    ),
    Plant(
        "connections: what a host serves falls through to another",
        "core/connections.py",
        "    if not hosts:\n        return 1\n",
        "    if not hosts:\n        return 1024\n",
        CHOICE + "test_a_host_that_is_named_is_served_by_its_connections_only",
    ),
    Plant(
        "connections: a model that nobody serves goes to any",
        "core/connections.py",
        "        found, rank = None, -1\n",
        "        found, rank = None, -2\n",
        CHOICE + "test_a_model_that_no_connection_serves_is_refused",
    ),
    Plant(
        "connections: a glob beats a name",
        "core/connections.py",
        "        return 2\n",
        "        return 0\n",
        CHOICE + "test_a_name_beats_a_glob_and_a_glob_beats_any_model",
    ),
)
