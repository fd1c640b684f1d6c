"""Planted bugs: the doctor sees what is wrong, writes nothing, and shows no secret."""

from tests.plants.plant import Plant

LIVE = "live/"
ENVOY = "tests/live/doctor/test_doctor_envoy.py::"
PAPER = "tests/live/doctor/test_doctor_paper.py::"
STORES = "tests/live/doctor/test_doctor_stores.py::"
NAMED = ENVOY + "test_each_promise_that_is_broken_is_named_and_only_there"

PLANTS = (
    Plant(
        "doctor: Python prints what libraries log",
        "cli/doctor.py",
        "logging.root.addHandler(logging.NullHandler())",
        "logging.root.addHandler(logging.StreamHandler())",
        "tests/live/doctor/test_doctor_paper.py::test_a_header_for_the_collector_that_cannot_be_read_is_not_shown",
    ),
    Plant(
        "doctor: any body mode is as good as another",
        LIVE + "envoy_guard.py",
        '_BODIES: Final = ("BUFFERED", "FULL_DUPLEX_STREAMED")',
        '_BODIES: Final = ("BUFFERED", "FULL_DUPLEX_STREAMED", "STREAMED")',
        NAMED + "[modes]",
    ),
    Plant(
        "doctor: failure_mode_allow is nobody's matter",
        LIVE + "envoy_guard.py",
        '.get("failure_mode_allow"):',
        '.get("failure_mode_deny"):',
        NAMED + "[open]",
    ),
    Plant(
        "doctor: any RBAC filter is the request lock",
        LIVE + "envoy_guard.py",
        'if not any(_demands_decision(each["typed_config"]) for each in locks):',
        "if not locks:",
        NAMED + "[another decision]",
    ),
    Plant(
        "doctor: filters after ext_proc are not looked at",
        LIVE + "envoy_guard.py",
        "if _kind(each) not in (_RBAC, _ROUTER):",
        "if not _kind(each):",
        NAMED + "[late change]",
    ),
    Plant(
        "doctor: a route may turn the filter off",
        LIVE + "envoy_guard.py",
        "if own is not None:",
        "if own == {}:",
        NAMED + "[route]",
    ),
    Plant(
        "doctor: a filter that is switched off judges",
        LIVE + "envoy_guard.py",
        'if is_kind(each, EXT_PROC) and not each.get("disabled"):',
        "if is_kind(each, EXT_PROC):",
        ENVOY + "test_a_filter_that_is_switched_off_is_none",
    ),
    Plant(
        "doctor: a way without HTTP is none",
        LIVE + "envoy_ways.py",
        "for listener, cluster in dump.tcp_clusters():",
        "for listener, cluster in ():",
        ENVOY + "test_a_real_envoy_with_ways_around_and_an_open_filter_is_seen_through",
    ),
    Plant(
        "doctor: a listener without ext_proc is guarded",
        LIVE + "envoy_ways.py",
        "if _reaches(dump, cluster, models) and not guarded:",
        "if _reaches(dump, cluster, models) and guarded is None:",
        ENVOY + "test_a_real_envoy_with_ways_around_and_an_open_filter_is_seen_through",
    ),
    Plant(
        "doctor: a cluster that goes anywhere reaches no model server",
        LIVE + "envoy_ways.py",
        "return dump.is_open_ended(cluster) or not",
        "return not",
        ENVOY + "test_a_cluster_that_goes_anywhere_is_a_way",
    ),
    Plant(
        "doctor: differences are told with their values",
        LIVE + "envoy_differences.py",
        'yield place or "."',
        'yield f"{place}: {one}"',
        ENVOY + "test_a_real_envoy_with_ways_around_and_an_open_filter_is_seen_through",
    ),
    Plant(
        "doctor: a secret may be read by its group",
        LIVE + "key_checks.py",
        "if mode & forbidden_bits(path.parent):",
        "if mode & 0o007:",
        PAPER + "test_a_secret_that_others_can_read",
    ),
    Plant(
        "doctor: looking for keys makes them",
        LIVE + "key_checks.py",
        "facts = key_facts(settings, open_keys(settings.audit))",
        "from extproc.audit.keys.keys import open_or_make_keys\n"
        "        facts = key_facts(settings, open_or_make_keys(settings.audit))",
        PAPER + "test_keys_that_are_not_there",
    ),
    Plant(
        "doctor: a clock that is behind is right",
        LIVE + "clock_checks.py",
        "if abs(skew) > REFUSED_SECONDS:",
        "if skew > REFUSED_SECONDS:",
        PAPER + "test_a_clock_that_differs_from_another_s",
    ),
    Plant(
        "doctor: model servers answer past the gateway, and that is well",
        LIVE + "model_checks.py",
        "if outside and answers:",
        "if outside and not answers:",
        PAPER + "test_a_model_server_that_is_away_and_one_that_answers_past_the_gateway",
    ),
    Plant(
        "doctor: core dumps of workers are not looked at",
        LIVE + "worker_checks.py",
        "if not _NO_CORE.search(limits):",
        'if not _NO_CORE.search(limits) and index == "":',
        PAPER + "test_a_worker_whose_memory_may_reach_a_disk",
    ),
    Plant(
        "doctor: a bucket without locks is one with them",
        LIVE + "store_checks.py",
        "        bucket.check()\n",
        "",
        STORES + "test_a_bucket_with_and_without_locks",
    ),
    Plant(
        "doctor: a segment may wait for ever",
        LIVE + "store_checks.py",
        "if lag > limit:",
        "if lag > 1000 * limit:",
        STORES + "test_a_segment_that_waits_too_long_and_one_that_the_store_contradicts",
    ),
    Plant(
        "doctor: the page that times the disk stays",
        LIVE + "store_checks.py",
        "        path.unlink()\n",
        "",
        STORES + "test_a_disk_that_is_slow_to_sync",
    ),
    Plant(
        "doctor: a store behind this version is up to date",
        LIVE + "approval_checks.py",
        "if revision == NEWEST:",
        "if revision <= NEWEST:",
        STORES + "test_an_approval_store_without_tables_of_another_revision_or_broken",
    ),
)
