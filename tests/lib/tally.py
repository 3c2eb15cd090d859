#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turn meson's testlog.json into one line a test.

usage: tally.py LABEL TESTLOG

Prints `passed|failed|skipped`, a tab and `LABEL/name`, for a skipped test
followed by its reason: the last thing it said.
"""
import json
import sys

VERDICTS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}


def main():
    label, path = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        tests = [json.loads(line) for line in f if line.strip()]
    for t in tests:
        verdict = VERDICTS.get(t["result"], "failed")
        line = f"{verdict}\t{label}/{t['name'].split(' / ')[-1]}"
        if verdict == "skipped":
            said = (t.get("stdout") or t.get("stderr") or "").split("\n")
            said = [s for s in said if s.strip()]
            reason = said[-1].split("SKIP")[-1].strip(" :") if said else ""
            line += ": " + (reason or "it gave no reason")
        elif verdict == "failed" and t["result"] != "FAIL":
            line += f" ({t['result'].lower()})"
        print(line)


main()
