"""Planted bugs: which model server a request reaches, with what, and who says so."""

from tests.plants.plant import Plant

ROUTES = "tests/edge/settings/test_connection_routes.py::"
CHOICE = "tests/core/test_connections.py::"
SETTINGS = "tests/core/exchange/test_connection_settings.py::"
OPERATIONS = "tests/core/dialects/test_operations.py::"
ROUTING = "tests/core/dialects/test_dialect_routing.py::"
NAMES = "tests/core/dialects/test_model_names.py::"
CHECKS = "tests/edge/settings/test_connection_checks.py::"
FILES = "tests/edge/settings/test_credential_files.py::"
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
    Plant(
        "what asks by HEAD is not what asks by GET",
        "core/dialects/operations.py",
        'if route is None and method == "HEAD" else route',
        'if route is None and method == "PEEK" else route',
        ROUTING + "test_operation_is_found_by_method_and_path",
    ),
    Plant(
        "an escaped colon is another path",
        "core/dialects/routing.py",
        "*+,:=@",
        "*+,=@",
        ROUTING + "test_a_path_has_one_spelling",
    ),
    Plant(
        "a header that overrides the path goes on",
        "core/forwarding.py",
        " or name in _OVERRIDES:",
        ":",
        "tests/core/exchange/test_exchange_paths.py::test_what_would_override_the_method_or_the_path_does_not_go_on",
    ),
    Plant(
        "connections: a path of another server is known on any dialect",
        "core/dialects/routing.py",
        "dialect in route.servers or",
        "route.servers or",
        OPERATIONS + "test_a_path_of_another_server_is_unknown",
    ),
    Plant(
        "connections: what administers another server is unknown there",
        "core/dialects/routing.py",
        " or route.operation is Operation.MODEL_ADMIN\n",
        "\n",
        SETTINGS + "test_administration_is_recognised_on_every_dialect",
    ),
    Plant(
        "connections: administration is a listing",
        "core/dialects/operations.toml",
        'paths = ["POST /sleep"',
        'paths = ["POST /slumber"',
        "tests/core/dialects/test_surfaces.py",
    ),
    Plant(
        "connections: a connection's own limit counts for nothing",
        "core/snapshot.py",
        "return self.limits if connection is None or connection.limits is None else connection.limits",
        "return self.limits",
        SETTINGS + "test_a_connections_own_limit_holds",
    ),
    Plant(
        "connections: what goes through unread is kept",
        "core/storing.py",
        "        if not data or self._answer.opaque:\n",
        "        if not data:\n",
        SETTINGS + "test_an_opaque_answer_leaves_as_it_comes_and_is_kept_nowhere",
    ),
    Plant(
        "connections: the record does not say that a request was unread",
        "core/inspection.py",
        "{OPAQUE_REQUEST: 1} if body else {}",
        "{}",
        SETTINGS + "test_an_opaque_request_goes_on_as_it_came_and_is_kept_nowhere",
    ),
    Plant(
        "connections: the other direction of a listed operation is unread too",
        "core/inspection.py",
        "(request.operation, Side.REQUEST) in request.candidates.first.opaque",
        "request.operation in dict(request.candidates.first.opaque)",
        SETTINGS + "test_what_is_not_listed_is_read",
    ),
    Plant(
        "connections: the proxy's own answers are unread",
        "core/answer.py",
        "if listed and not self.local_reply:",
        "if listed:",
        SETTINGS + "test_what_the_proxy_answers_itself_is_read",
    ),
    Plant(
        "connections: the server is asked by the client's name",
        "core/inspection.py",
        "body=inspected.named(inspected.body), changed=True",
        "changed=True",
        SETTINGS + "test_a_mapped_name_is_replaced_and_nothing_else",
    ),
    Plant(
        "connections: only the client's name is recorded",
        "core/exchange.py",
        "        ledger.model_sent = sent.model_sent\n",
        "",
        SETTINGS + "test_a_mapped_name_is_replaced_and_nothing_else",
    ),
    Plant(
        "connections: a name that is not mapped passes",
        "core/dialects/model_names.py",
        "if not sent and connection.only_mapped and",
        "if not sent and not connection.model_map and connection.only_mapped and",
        SETTINGS + "test_only_mapped_refuses_every_other_name_and_none",
    ),
    Plant(
        "connections: names are replaced anywhere in an answer",
        "core/dialects/model_names.py",
        " and tuple(self._open) in self._under:",
        ":",
        NAMES + "test_an_answer_says_the_clients_name_in_its_own_place",
    ),
    Plant(
        "connections: a stream says the server's name",
        "core/answer.py",
        "        return self._name.restore(out) if self._name is not None else out\n",
        "        return out\n",
        SETTINGS + "test_a_stream_says_the_clients_name_in_every_event",
    ),
    Plant(
        "connections: globs that meet are told apart",
        "edge/connection_checks.py",
        "(_is_glob(first) and _is_glob(second) and globs_meet(first, second))",
        "False",
        CHECKS + "test_what_nothing_tells_apart_is_an_error",
    ),
    Plant(
        "connections: a body may be larger than what Envoy keeps",
        "edge/connection_checks.py",
        'elif key == "max_body" and size > most:',
        'elif key == "max_body" and size < 0:',
        CHECKS + "test_what_could_do_nothing_is_an_error",
    ),
    Plant(
        "connections: a mask that is obliged is forgotten where nobody looks",
        "core/obliging.py",
        "if obligations.masking and unread:",
        "if False:",
        SETTINGS + "test_an_obliged_mask_refuses_what_is_not_looked_into",
    ),
    Plant(
        "credentials: what is no credential takes the last one away",
        "edge/credential_files.py",
        "            replaced = sorted(name for name, secret in good.items() if secret.value != self._good[name].value)\n",
        "            replaced = sorted(fresh)\n            self._good = {n: s for n, s in self._good.items() if n not in fresh}\n",
        FILES + "test_what_is_no_credential_leaves_the_last_good_one",
    ),
    Plant(
        "credentials: a failing file is not recorded",
        "edge/credential_files.py",
        "            self._tell(note, signal)\n",
        "",
        FILES + "test_what_cannot_be_recorded_is_recorded_later",
    ),
    Plant(
        "credentials: a replaced one is not recorded",
        "edge/credential_files.py",
        "            self._unrecorded |= frozenset(replaced)\n",
        "",
        FILES + "test_a_new_credential_is_taken_over",
    ),
    Plant(
        "credentials: a replaced one that could not be recorded is forgotten",
        "edge/credential_files.py",
        "                return\n            self._unrecorded -= {name}\n",
        "                pass\n            self._unrecorded -= {name}\n",
        FILES + "test_a_replaced_credential_that_cannot_be_recorded_is_recorded_later",
    ),
    Plant(
        "credentials: half a credential is taken",
        "edge/credential_files.py",
        "if look == before[name] and look != self._judged[name]}",
        "if look != self._judged[name]}",
        FILES + "test_a_credential_that_is_being_written_is_not_taken",
    ),
    Plant(
        "credentials: a later policy brings the old credential back",
        "edge/policy_in_force.py",
        "        self.connections = connections\n        self.snapshot = replace",
        "        self.snapshot = replace",
        "tests/test_app.py::test_a_new_credential_is_for_new_exchanges_only",
    ),
    Plant(
        "connections: the evidence pack does not name what went through unread",
        "audit/evidence/limits.py",
        "    for (direction, operation, connection), count in facts.unread:\n",
        "    for (direction, operation, connection), count in ():\n",
        "tests/audit/test_evidence_judgements.py::test_bodies_that_a_connection_lets_through_are_listed",
    ),
)
