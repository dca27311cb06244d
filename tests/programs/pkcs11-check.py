"""Says the outcome of each test in a report of pkcs11-check as a `case` line: pkcs11-check.py REPORT.jsonl.

What it calls xfailed is a finding: the module does otherwise than was expected. That is a failure here; what counts is
whether two modules come to the same.
"""

import json
import sys

RANK = ["passed", "skipped", "failed"]
cases = {}
with open(sys.argv[1], encoding="utf-8") as report:
    for line in report:
        record = json.loads(line)
        if record.get("$report_type") != "TestReport":
            continue
        outcome, reason = record["outcome"], record.get("longrepr")
        if outcome == "skipped" and "wasxfail" in record:
            outcome, reason = "failed", record["wasxfail"]
        if isinstance(reason, dict):
            reason = reason.get("reprcrash", {}).get("message", "")
        if isinstance(reason, list):
            reason = reason[-1]
        name = record["nodeid"].split("/testcases/")[-1].replace(".py::", ".").replace("::", ".")
        name = "-".join(name.split())
        # A test is set up, run and taken down, and maybe run again in a process of its own: the worst of it counts.
        known, _ = cases.get(name, ("passed", ""))
        if RANK.index(outcome) >= RANK.index(known):
            cases[name] = outcome, " ".join(str(reason or "").split())[:160]
for name, (outcome, reason) in cases.items():
    print(f"case pkcs11-check.{name} {outcome} {'' if outcome == 'passed' else reason}".rstrip())
