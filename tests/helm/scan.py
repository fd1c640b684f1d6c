"""`make chart-scan`: checkov over everything that the chart renders for the cases; a finding needs a reason here.

It stands outside of `make check`: its environment is 265 MB and takes a minute to install. What it looks at, and more, the
controls of `restricted.py` and `hardened.py` look at in every run.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("cases")
CHECKOV = Path(__file__).parents[2] / ".servers" / "checkov" / "bin" / "checkov"
ACCEPTED: tuple[tuple[str, str, str], ...] = (
    ("CKV_K8S_11", ".*", "a CPU limit is latency for no safety: what is asked for is what is shared by"),
    ("CKV_K8S_15", ".*", "tags here do not move, and a digest cannot: a registry that is away stops no pod"),
    ("CKV_K8S_43", ".*", "the digest is the user's, of the image in their registry: `image.digest`"),
    ("CKV_K8S_8", r"Pod\..*-test", "the pod of `helm test` ends by itself"),
    ("CKV_K8S_9", r"Pod\..*-test", "the pod of `helm test` ends by itself"),
    ("CKV_K8S_40", r"Deployment\..*", "the model servers of the examples run as the user of their images"),
)
"""Check, resource, reason."""


def main() -> None:
    command = [
        CHECKOV,
        "-d",
        CASES,
        "--framework",
        "kubernetes",
        "--compact",
        "--quiet",
        "--skip-download",
        "-o",
        "json",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(ran.stdout)
    if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
        sys.exit("checkov could not read the cases")
    failed = [
        (each["check_id"], each["resource"], each["check_name"], each["file_path"])
        for each in report["results"]["failed_checks"]
    ]
    used: set[str] = set()
    open_findings: list[str] = []
    for check, resource, name, file in failed:
        reasons = [rule for rule in ACCEPTED if rule[0] == check and re.fullmatch(rule[1], resource)]
        used |= {rule[0] for rule in reasons}
        if not reasons:
            open_findings.append(f"{file}: {resource}: {check} {name}")
    stale = [check for check, _, _ in ACCEPTED if check not in used]
    for line in open_findings:
        print(line)
    for check in stale:
        print(f"{check} is accepted, and nothing is found any more")
    print(
        f"{report['summary']['passed']} passed, {len(failed) - len(open_findings)} with a reason, {len(open_findings)} open"
    )
    sys.exit(bool(open_findings or stale))


if __name__ == "__main__":
    main()
