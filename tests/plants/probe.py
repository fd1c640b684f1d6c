"""Planted bugs: what `extproc probe` overlooks in an installation."""

from tests.plants.plant import Plant

WRONG, HERE = "tests/live/test_probe_command.py::test_what_is_wrong_is_found", "live/planted_request.py"
FILE = "tests/live/test_probe_command.py::"

PLANTS = (
    Plant(
        "probe: the number that the model answers is not looked for",
        HERE,
        "if PLANTED in digits or ANSWERED in digits:",
        "if PLANTED in digits:",
        WRONG,
    ),
    Plant(
        "probe: a number with blanks in it is overlooked",
        HERE,
        'digits = re.sub(r"[^0-9]", "", text)',
        "digits = text",
        WRONG,
    ),
    Plant(
        "probe: a streamed answer is read event by event",
        HERE,
        '    return "".join(parts)',
        '    return "9".join(parts)',
        WRONG,
    ),
    Plant(
        "probe: a token under another header's name is overlooked",
        HERE,
        "any(token in value for _, value in arrived.headers)",
        "token in arrived.header('authorization')",
        WRONG,
    ),
    Plant(
        "probe: any trace will do",
        HERE,
        'if arrived.header("traceparent")[3:35] == found.trace_id:',
        "if found.trace_id:",
        WRONG,
    ),
    Plant(
        "probe: an answer without a name is one of ours",
        HERE,
        "    if not found.exchange_id:\n        yield failed",
        "    if found.status == 0:\n        yield failed",
        WRONG,
    ),
    Plant(
        "probe: any receipt will do",
        HERE,
        'if match is not None and Origin.parse(match["origin"]):',
        "if receipt:",
        WRONG,
    ),
    Plant(
        "probe: a gateway that lets strangers in passes",
        HERE,
        "if status.status_code == httpx.codes.UNAUTHORIZED:",
        "if status.status_code:",
        WRONG,
    ),
    Plant(
        "probe: a record of something else counts",
        "live/planted_record.py",
        "!= origin:",
        "== origin.upper():",
        WRONG,
    ),
    Plant(
        "probe: a record that says of no card counts",
        "live/planted_record.py",
        "if not asked or (echoed and not answered):",
        "if not asked and echoed and not answered:",
        WRONG,
    ),
    Plant(
        "probe: what failed ends with 0",
        "cli/probe.py",
        "sys.exit(EXIT_FINDING if counts[State.FAIL] else 0)",
        "sys.exit(0)",
        WRONG,
    ),
    Plant(
        "probe: what was refused is not named",
        HERE,
        "code = _code(found.text)",
        'code = ""',
        FILE + "test_a_refusal_is_named_and_says_what_to_do",
    ),
)
