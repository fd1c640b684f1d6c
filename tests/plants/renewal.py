"""Planted bugs: certificates that are renewed while Envoy and the console run, and the Job that migrates."""

from tests.plants.plant import Plant

ENVOY, CONSOLE = "tests/edge/settings/test_bootstrap_certificates.py::", "tests/console/test_own_certificate.py::"
MIGRATE = "tests/approvals/test_migrate_command.py::"

PLANTS = (
    Plant(
        "renewal: envoy watches another folder than the certificate's",
        "edge/bootstrap_certificates.py",
        "watched_directory=_folder(settings.certificate),",
        "watched_directory=_folder(settings.certificate.parent),",
        ENVOY + "test_each_is_read_again_when_its_own_folder_changes",
    ),
    Plant(
        "renewal: envoy keeps the client authorities of its start",
        "edge/bootstrap_certificates.py",
        "watched_directory=_folder(settings.client_ca)\n",
        "watched_directory=_folder(settings.client_ca.parent)\n",
        ENVOY + "test_each_is_read_again_when_its_own_folder_changes",
    ),
    Plant(
        "renewal: the console shows the certificate of its start",
        "console/own_certificate.py",
        "            connection.context = self._newest\n",
        "            pass\n",
        CONSOLE + "test_a_renewed_certificate_is_shown_and_open_connections_stay",
    ),
    Plant(
        "renewal: the console loads a new pair into what serves",
        "console/own_certificate.py",
        "        self._read, self._newest = read, fresh\n        _log.info",
        "        self._read, self._newest = read, self._newest\n        _log.info",
        CONSOLE + "test_a_renewed_certificate_is_shown_and_open_connections_stay",
    ),
    Plant(
        "renewal: a pair that does not hold ends the console's look",
        "console/own_certificate.py",
        "except (OSError, ssl.SSLError) as error:",
        "except FileNotFoundError as error:",
        CONSOLE + "test_a_pair_that_does_not_belong_together_leaves_the_last_good_one",
    ),
    Plant(
        "renewal: gRPC shows the certificate of its start",
        "console/own_certificate.py",
        "grpc.dynamic_ssl_server_credentials(self._grpc(), self._grpc)",
        "grpc.ssl_server_credentials([self._read[::-1]])",
        CONSOLE + "test_a_renewed_certificate_is_shown_by_grpc",
    ),
    Plant(
        "health: a console that cannot record is started again and again",
        "console/published.py",
        '    return Response(json.dumps({"alive": True}), media_type=_JSON)',
        "    return await health(_)",
        "tests/console/test_saml_login.py::test_nobody_is_logged_in_whose_login_cannot_be_recorded",
    ),
    Plant(
        "health: a probe by address is refused",
        "console/headers.py",
        '"/livez", "/readyz"',
        '"/readyz"',
        "tests/console/test_saml_login.py::test_nobody_is_logged_in_whose_login_cannot_be_recorded",
    ),
    Plant(
        "migrate: a file beside the configuration does not count",
        "cli/approvals_migrate.py",
        "    if database_file is None:\n        if config is None:",
        "    if config is None or database_file is None:\n        if config is None:",
        MIGRATE + "test_the_urls_file_alone_is_enough",
    ),
)
