"""Planted bugs in the chart: console, anchor, migrations, certificates."""

from tests.plants.plant import Plant

HERE, RENDERS = "tests/helm/test_beside_the_path.py::", "tests/helm/test_renders.py::"
TEMPLATES = "helm/extproc/templates/"

PLANTS = (
    Plant(
        "chart: the Job that migrates comes before its identity",
        TEMPLATES + "migrations/job.yaml",
        '(dict "weight" "0")',
        '(dict "weight" "-20")',
        HERE + "test_what_a_hook_needs_is_there_before_it",
    ),
    Plant(
        "chart: the Job that migrates wants the ConfigMap of the release",
        TEMPLATES + "migrations/job.yaml",
        '      volumes: {{- include "extproc.volumes" (dict "root" . "parts" (list "tmp" "database"))',
        '      volumes: {{- include "extproc.volumes" (dict "root" . "parts" (list "tmp" "database" "config"))',
        HERE + "test_what_a_hook_needs_is_there_before_it",
    ),
    Plant(
        "chart: the anchor gets all that lies beside the public key",
        TEMPLATES + "anchor/cronjob.yaml",
        "                items:\n                  - key: {{ $public.key }}\n                    path: {{ $public.key }}\n",
        "",
        HERE + "test_the_anchor_has_one_key_of_each_source_and_its_own_identity",
    ),
    Plant(
        "chart: the anchor runs under the gateway's identity",
        TEMPLATES + "anchor/_anchor.tpl",
        '{{- $account.name | default (include "extproc.anchor.name" .) -}}',
        '{{- $account.name | default (include "extproc.serviceAccountName" .) -}}',
        HERE + "test_the_anchor_has_one_key_of_each_source_and_its_own_identity",
    ),
    Plant(
        "chart: two anchors at a time",
        TEMPLATES + "anchor/cronjob.yaml",
        "concurrencyPolicy: Forbid",
        "concurrencyPolicy: Allow",
        HERE + "test_one_anchor_at_a_time_and_none_that_repeats_itself",
    ),
    Plant(
        "chart: the console holds the keys of model servers",
        TEMPLATES + "console/_console.tpl",
        "config,policy,run,tmp,digestKey,",
        "config,policy,run,tmp,credentials,digestKey,",
        HERE + "test_each_part_holds_its_own_secrets_alone",
    ),
    Plant(
        "chart: a certificate of the console that is not mounted",
        TEMPLATES + "console/_console.tpl",
        "  certificate: /etc/extproc/secrets/console-tls/tls.crt",
        "  certificate: /etc/extproc/secrets/tls/tls.crt",
        HERE + "test_every_file_of_the_consoles_configuration_is_mounted",
    ),
    Plant(
        "chart: clients are not told where their approval is",
        TEMPLATES + "_config.tpl",
        '(printf "%s/approvals/{id}" (include "extproc.console.url" $root))',
        '""',
        HERE + "test_people_are_led_to_the_console_by_its_name",
    ),
    Plant(
        "chart: a console without a certificate is not refused",
        TEMPLATES + "console/_console.tpl",
        '{{- if not (include "extproc.console.tlsSecret" .) -}}',
        "{{- if false -}}",
        RENDERS + "test_a_case_comes_out_as_it_was_reviewed",
    ),
    Plant(
        "chart: replicas of the console have keys of their own",
        TEMPLATES + "console/_console.tpl",
        "{{- if not (or .Values.secrets.consoleKeys.existingSecret $persistence.enabled) -}}",
        "{{- if false -}}",
        RENDERS + "test_a_case_comes_out_as_it_was_reviewed",
    ),
    Plant(
        "chart: the anchor may be given the gateway's keys",
        TEMPLATES + "anchor/_anchor.tpl",
        "(eq $public.existingSecret .Values.secrets.auditKeys.existingSecret)",
        "false",
        RENDERS + "test_a_case_comes_out_as_it_was_reviewed",
    ),
    Plant(
        "chart: a certificate keeps its key for ever",
        TEMPLATES + "certificate.yaml",
        "    rotationPolicy: Always\n",
        "",
        RENDERS + "test_a_case_comes_out_as_it_was_reviewed",
    ),
)
