#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Judge the report of `vmm --move-slot --report json`.

usage: check-report.py FILE ORDER...

FILE holds what vmm wrote to stdout: one array of objects, nothing else.
Each ORDER must be there. `ours` must have lost nothing, committed some
moves, failed some, and seen some writes; `legacy` must show its loss.
Exits 0 if all that holds; otherwise names what does not.
"""
import json
import sys

NUMBERS = ("moves_tried", "moves_committed", "moves_failed", "writes_done",
           "writes_seen", "writes_missed", "bytes_wrong", "dirty_missed")
VGTT = ("bar_moves", "bar_refusals", "table_writes", "mismatches")
PAUSES = ("min", "median", "p99", "max")


def problems_of_shape(r):
    for key in ("accel", "order"):
        if not isinstance(r.get(key), str):
            yield f"no {key}"
    for key in NUMBERS + (VGTT if "mismatches" in r else ()):
        if not isinstance(r.get(key), int) or r[key] < 0:
            yield f"{key} is not a count: {r.get(key)!r}"
    pause = r.get("pause_us")
    if not isinstance(pause, dict):
        yield "no pause_us"
        return
    values = [pause.get(key) for key in PAUSES]
    if not all(isinstance(v, (int, float)) for v in values):
        yield f"pause_us lacks a number: {pause}"
    elif values != sorted(values):
        yield f"pause_us is not in order: {pause}"


def problems_of_content(r):
    if r["moves_tried"] != r["moves_committed"] + r["moves_failed"]:
        yield "moves tried are not those committed and those failed"
    for key in ("moves_committed", "moves_failed", "writes_done"):
        if r[key] == 0:
            yield f"{key} is 0"
    if r["bytes_wrong"]:
        yield f"bytes_wrong is {r['bytes_wrong']}"
    if r["order"] == "ours" and r.get("mismatches"):
        yield f"the shadow has {r['mismatches']} wrong entries"
    if r["order"] != "ours" and r.get("mismatches") == 0:
        yield "the legacy order left the shadow right: nothing was shown"
    if r["order"] == "ours":
        for key in ("writes_missed", "dirty_missed"):
            if r[key]:
                yield f"{key} is {r[key]}"
        if r["writes_seen"] == 0:
            yield "the tracker saw no write"
    elif r["writes_missed"] == 0:
        yield "the legacy order missed no write: the demonstration is void"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, wanted = sys.argv[1], sys.argv[2:]
    with open(path, encoding="utf-8") as f:
        text = f.read()
    try:
        reports = json.loads(text)
    except ValueError as e:
        sys.exit(f"the report is not JSON: {e}: {text[:200]!r}")
    if not isinstance(reports, list):
        sys.exit("the report is not an array")
    bad = []
    for r in reports:
        found = list(problems_of_shape(r)) or list(problems_of_content(r))
        bad += [f"{r.get('order')}: {p}" for p in found]
    orders = [r.get("order") for r in reports]
    if orders != wanted:
        bad.append(f"orders {orders}, not {wanted}")
    for b in bad:
        print(b)
    sys.exit(1 if bad else 0)


main()
