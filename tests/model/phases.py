#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""phases.py - the tables of phases in memslot/txn.c, as Promela macros

usage: phases.py path/to/txn.c > phases.inc

The model runs the order that the code runs: change the one and the other
changes with it. Everything unexpected in the source is an error (exit 1).
"""
import re
import sys

PHASES = ["VALIDATE", "PREPARE", "SWAP_OUT", "FLUSH", "APPLY", "SWAP_IN",
          "NOTIFY"]


def fail(text):
    sys.exit(f"phases.py: {text}")


def names_of_enum(source):
    m = re.search(r"enum phase \{([^}]*)\}", source)
    if not m:
        fail("no enum phase")
    names = re.findall(r"PHASE_(\w+)", m.group(1))
    if sorted(names) != sorted(PHASES):
        fail(f"the model knows the phases {PHASES}, the code {names}")
    return names


def orders(source):
    table = re.compile(
        r"const struct memslot_order memslot_order_(\w+) = \{(.*?)\n\};", re.S)
    found = {}
    for name, body in table.findall(source):
        m = re.search(r"\.phase = \{([^}]*)\}", body)
        if not m:
            fail(f"order {name} has no phases")
        found[name] = (re.findall(r"PHASE_(\w+)", m.group(1)),
                       ".flush_forgets = true" in body)
    if sorted(found) != ["legacy", "ours"]:
        fail(f"expected the orders ours and legacy, found {sorted(found)}")
    return found


def main():
    if len(sys.argv) != 2:
        fail("usage: phases.py path/to/txn.c")
    with open(sys.argv[1], encoding="utf-8") as f:
        source = f.read()
    names = names_of_enum(source)
    print("/* made by phases.py from memslot/txn.c: do not edit */")
    for number, name in enumerate(names):
        print(f"#define PHASE_{name} {number}")
    print(f"#define PHASES {len(names)}")
    for name, (phases, forgets) in orders(source).items():
        if sorted(phases) != sorted(PHASES):
            fail(f"order {name} is not an order of all phases: {phases}")
        print(f"/* {name}: {', '.join(p.lower() for p in phases)} */")
        text = f"PHASE_{phases[-1]}"
        for k in range(len(phases) - 2, -1, -1):
            text = f"((k) == {k} -> PHASE_{phases[k]} : {text})"
        print(f"#define {name.upper()}_PHASE(k) {text}")
        print(f"#define {name.upper()}_FLUSH_FORGETS {int(forgets)}")


main()
