#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""chart.py - a message sequence chart from what the model says

usage: spin -t ... protocol.pml | chart.py > chart.svg

Lines of the form "@ FROM -> TO: text" become arrows (or notes, where FROM is
TO), in order, on one lifeline for each name. Other lines are ignored.
"""
import html
import re
import sys

WIDTH, LEFT, TOP, STEP = 190, 100, 92, 46
TITLE = "How the legacy order loses a write protection"
NAMES = ["client", "tracker", "transaction", "slots", "CPU", "memory"]
BAD = re.compile(r"gone\?|not tracked")


def events(lines):
    for line in lines:
        m = re.match(r"\s*@ (\w+) -> (\w+): (.*)", line)
        if m:
            yield m.groups()


def wrap(text, width):
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = (lines[-1] + " " + word).strip()
    return lines


def text_at(x, y, lines, extra=""):
    spans = "".join(
        f'<tspan x="{x}" y="{y + 14 * n}">{html.escape(t)}</tspan>'
        for n, t in enumerate(lines))
    return f"<text {extra}>{spans}</text>"


def draw(found):
    used = [n for n in NAMES if any(n in e[:2] for e in found)]
    unknown = {n for e in found for n in e[:2]} - set(NAMES)
    if unknown:
        sys.exit(f"chart.py: no lifeline for {sorted(unknown)}")
    x = {n: LEFT + WIDTH * i for i, n in enumerate(used)}
    height = TOP + STEP * len(found) + 16
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {2 * LEFT + WIDTH * (len(used) - 1)} {height}" '
        'font-family="sans-serif" font-size="12" text-anchor="middle">',
        "<!-- SPDX-License-Identifier: MIT; made by tests/model/chart.py -->",
        '<defs><marker id="tip" orient="auto" markerWidth="9" '
        'markerHeight="8" refX="8" refY="4"><path d="M0,0 L9,4 L0,8 z"/>'
        '</marker></defs><rect width="100%" height="100%" fill="white"/>',
        text_at(LEFT - 80, 26, [TITLE],
                'text-anchor="start" font-size="17" font-weight="bold"'),
    ]
    for name in used:
        out.append(f'<line x1="{x[name]}" y1="68" x2="{x[name]}" '
                   f'y2="{height - 16}" stroke="#999" '
                   'stroke-dasharray="4 4"/>')
        out.append(f'<rect x="{x[name] - 50}" y="42" width="100" height="26" '
                   'rx="4" fill="#e8eef7" stroke="#456"/>')
        out.append(text_at(x[name], 59, [name], 'font-weight="bold"'))
    for n, (source, to, text) in enumerate(found):
        y = TOP + STEP * n + 24
        colour = "#b00020" if BAD.search(text) else "black"
        if source == to:
            lines = wrap(text, 24)
            fill = "#fde7ea" if BAD.search(text) else "#f6f6f6"
            top = y - 14 - 7 * len(lines) + 8
            out.append(f'<rect x="{x[to] - 80}" y="{top}" width="160" '
                       f'height="{14 * len(lines) + 8}" rx="3" fill="{fill}" '
                       f'stroke="{colour}"/>')
            out.append(text_at(x[to], top + 15, lines, f'fill="{colour}"'))
            continue
        lines = wrap(text, 25 * abs(used.index(to) - used.index(source)))
        middle = (x[source] + x[to]) // 2
        out.append(f'<line x1="{x[source]}" y1="{y}" x2="{x[to]}" y2="{y}" '
                   'stroke="black" marker-end="url(#tip)"/>')
        out.append(text_at(
            middle, y - 6 - 14 * (len(lines) - 1), lines,
            'stroke="white" stroke-width="4" paint-order="stroke" '
            f'fill="{colour}"'))
    out.append("</svg>")
    return "\n".join(out)


def main():
    found = list(events(sys.stdin))
    if not found:
        sys.exit("chart.py: the trail says nothing")
    print(draw(found))


main()
