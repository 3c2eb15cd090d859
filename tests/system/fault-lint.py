#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fault-lint.py - no step can fail without a fault point

The failure walk makes every fault point fail. That proves something only if
every fallible step has one. Checked here, in the source:

  memory    every use of a platform's `alloc` in memslot/ and pagetrack/
            stands behind FAULT() in the same function; or in a function all
            callers of which stand so
  consent   so does every call of a callback that may refuse (one that
            returns int, by its declaration in the public headers)
  tables    every FAULT_* of an enum is in exactly one table, under a name of
            its own, and is asked for in some function; and no other is used

Exceptions are listed below with their reasons; one that is not needed any
more is an error too. At the end the lint is tried on sources that are broken
on purpose: it must find each.
"""
import os
import re
import sys

LIBRARIES = ("memslot", "pagetrack")
EXCEPTIONS = {
    ("memslot/memslot.c", "memslots_create"):
        "creates the map: there is nothing yet that a plan is attached to",
    ("memslot/memslot.c", "memslots_untrack"):
        "what fails leaves pages protected for nothing; the points of "
        "vmm/kvm let it fail",
    ("pagetrack/node.c", "pagetrack_create"):
        "creates the tracker, outside any transaction, in one allocation; "
        "the tests let the platform fail",
    ("pagetrack/moves.c", "prepare_nodes"):
        "pagetrack.prepare stands before the first node; the failure walk "
        "lets each node refuse by itself",
}

ALLOC = re.compile(r"(?:->|\.)alloc\s*\(")
POINT = re.compile(r"\bFAULT_[A-Z0-9_]+\b")
NO_POINT = re.compile(r"^FAULT_(ANY|BASE_\w+|\w+_END)$")


def strip(text):
    """Comments and strings become blanks; lines stay where they are."""
    def blank(m):
        keep = '"' if m.group(0)[0] == '"' else " "
        return keep + re.sub(r"[^\n]", " ", m.group(0)[1:-1]) + keep
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


class Function:
    def __init__(self, path, name, body, line):
        self.path, self.name, self.body, self.line = path, name, body, line

    def guarded(self, at):
        """Is a fault point asked for before offset `at`?"""
        return re.search(r"\bFAULT\s*\(", self.body[:at]) is not None

    def where(self, at):
        line = self.line + self.body.count("\n", 0, at)
        return f"{self.path}:{line}: {self.name}()"


def functions(path, text):
    """The house style puts the braces of a function's body in column 0."""
    found = []
    for m in re.finditer(r"^\{\n.*?^\}", text, flags=re.S | re.M):
        head = text[:m.start()]
        head = head[max(head.rfind(";"), head.rfind("}")) + 1:]
        name = re.search(r"(\w+)\s*\(", head)
        if name:
            found.append(Function(path, name.group(1), m.group(0),
                                  text.count("\n", 0, m.start()) + 1))
    return found


class Lint:
    def __init__(self, sources):
        self.problems = []
        self.text = {p: strip(t) for p, t in sources.items()}
        self.raw = sources
        self.functions = [f for p, t in sorted(self.text.items())
                          for f in functions(p, t)]
        self.used_exceptions = set()
        self.steps = self.points = 0

    def library(self):
        return [f for f in self.functions
                if f.path.split("/")[0] in LIBRARIES]

    def callers(self, name):
        call = re.compile(r"(?<![\w>.])" + name + r"\s*\(")
        return [(f, m.start()) for f in self.functions
                for m in call.finditer(f.body)]

    def step(self, function, at, what, through_callers):
        self.steps += 1
        if function.guarded(at):
            return
        if (function.path, function.name) in EXCEPTIONS:
            self.used_exceptions.add((function.path, function.name))
            return
        calls = self.callers(function.name) if through_callers else []
        for caller, call in calls:
            if not caller.guarded(call):
                self.problems.append(
                    f"{caller.where(call)} calls {function.name}(), "
                    f"which {what}, without a fault point")
        if not calls:
            self.problems.append(
                f"{function.where(at)} {what} without a fault point")

    def check_memory(self):
        for f in self.library():
            for m in ALLOC.finditer(f.body):
                self.step(f, m.start(), "allocates", True)
            for m in re.finditer(r"\b(malloc|calloc|realloc|strdup)\s*\(",
                                 f.body):
                if f.path != "memslot/hosted.c":
                    self.problems.append(
                        f"{f.where(m.start())} goes around the platform")

    def check_consent(self):
        names = set()
        for path in ("memslot/memslot.h", "pagetrack/pagetrack.h"):
            for ops in re.findall(r"^struct \w*_ops \{.*?^\};",
                                  self.text[path], flags=re.S | re.M):
                names.update(re.findall(r"\bint \(\*(\w+)\)\(", ops))
        if not names:
            self.problems.append("no callback that may refuse was found")
        for f in self.library():
            for name in sorted(names):
                for m in re.finditer(r"ops->" + name + r"\s*\(", f.body):
                    self.step(f, m.start(), f"asks `{name}`", False)

    def check_tables(self):
        declared, tabled, names, used = {}, {}, {}, {}
        for path, text in self.text.items():
            for enum in re.findall(r"^enum \w+ \{.*?^\};", text,
                                   flags=re.S | re.M):
                for line in enum.split(","):
                    m = re.search(r"\b(FAULT_[A-Z0-9_]+)\b", line)
                    if m and not NO_POINT.match(m.group(1)):
                        declared[m.group(1)] = path
            for table in re.finditer(
                    r"^const struct fault_point \w+\[\] = \{.*?^\};", text,
                    flags=re.S | re.M):
                raw = self.raw[path][table.start():table.end()]
                for point, name in re.findall(
                        r'\{\s*(FAULT_\w+),\s*"([^"]*)"', raw):
                    if point in tabled:
                        self.problems.append(f"{point} is in two tables")
                    if name in names:
                        self.problems.append(
                            f'{point} and {names[name]} are both "{name}"')
                    tabled[point] = path
                    names[name] = point
        for f in self.functions:
            for m in POINT.finditer(f.body):
                if not NO_POINT.match(m.group(0)):
                    used.setdefault(m.group(0), f.where(m.start()))
        for point in sorted(set(declared) | set(tabled) | set(used)):
            if point not in declared:
                self.problems.append(f"{point} is declared nowhere")
            if point not in tabled:
                self.problems.append(f"{point} is in no table")
            if point not in used:
                self.problems.append(f"{point} is asked for nowhere")
        self.points = len(tabled)

    def run(self):
        self.check_memory()
        self.check_consent()
        self.check_tables()
        for path, name in sorted(set(EXCEPTIONS) - self.used_exceptions):
            self.problems.append(
                f"{path}: the exception for {name}() is not needed")
        if self.steps < 10:
            self.problems.append(
                f"only {self.steps} fallible steps found: is this the tree?")
        return self.problems


def read_sources(root):
    sources = {}
    for top in LIBRARIES + ("devices", "vmm"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        sources[os.path.relpath(path, root)] = f.read()
    return sources


# file, what stands there, what a careless change would make of it
BREAKS = (
    ("memslot/map_update.c", "if (FAULT(e->faults, FAULT_VALIDATE_NODE))",
     "if (0)"),
    ("memslot/internal.h", "if (FAULT(ms->faults, point))", "if (0)"),
    ("memslot/meta.c",
     "slab_alloc(t, FAULT_PREPARE_TRACK, sizeof(*track))",
     "t->ms->pf->alloc(t->ms->pf->ctx, sizeof(*track))"),
    ("memslot/meta.c",
     "slab_alloc(t, FAULT_PREPARE_TRACK, sizeof(*track))",
     "calloc(1, sizeof(*track))"),
    ("memslot/validate.c", "if (FAULT(ms->faults, FAULT_VALIDATE_PLAN))",
     "if (0)"),
    ("memslot/txn.c", "if (FAULT(t->ms->faults, FAULT_APPLY_PARTICIPANT))",
     "if (0)"),
    ("memslot/txn.c", "if (FAULT(t->ms->faults, FAULT_UNDO_PARTICIPANT))",
     "if (0)"),
    ("memslot/fault.c", '{FAULT_HARVEST, "harvest"',
     '{FAULT_HARVEST, "validate.set"'),
    ("memslot/fault.c", '{FAULT_VALIDATE_SET, "validate.set"',
     '{FAULT_HARVEST, "validate.set"'),
    ("memslot/fault.h", "\tFAULT_HARVEST,\n",
     "\tFAULT_HARVEST,\n\tFAULT_X,\n"),
    ("pagetrack/track.c",
     "FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_PAGE) ||", ""),
    ("pagetrack/node.c",
     "if (!FAULT(memslots_faults(pt->ms), FAULT_PAGETRACK_REGISTER))", ""),
    ("memslot/memslot.c", "pf->alloc(", "new_thing("),
)


def self_test(sources):
    failed = []
    for path, old, new in BREAKS:
        if old not in sources[path]:
            failed.append(f"{path}: the self-test looks for \"{old}\"")
            continue
        broken = dict(sources)
        broken[path] = broken[path].replace(old, new)
        if not Lint(broken).run():
            failed.append(f"{path}: not found out: \"{new or old}\"")
    return failed


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    if len(sys.argv) > 1:
        root = sys.argv[1]
    sources = read_sources(root)
    lint = Lint(sources)
    problems = lint.run()
    for problem in problems:
        print(f"not ok - {problem}")
    if not problems:
        print(f"ok - {lint.steps} fallible steps, {lint.points} fault points, "
              f"{len(EXCEPTIONS)} exceptions")
        for (path, name), why in sorted(EXCEPTIONS.items()):
            print(f"#    {path}: {name}(): {why}")
        problems = self_test(sources)
        for problem in problems:
            print(f"not ok - {problem}")
        if not problems:
            print(f"ok - {len(BREAKS)} careless changes would be found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
