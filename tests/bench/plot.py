#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plot.py JSON SVG - draw what bench_core --json wrote

Two panels over the number of slots: what a random lookup costs, ours beside
a binary search and GLib's GTree, and what a transaction costs.
"""
import json
import math
import sys
from html import escape

WIDTH, HEIGHT = 1080, 400
LEFT, TOP, PANEL_W, PANEL_H, GAP = 60, 60, 320, 260, 210
COLOURS = ["#0b6e4f", "#c8553d", "#4a6fa5", "#8a6fa8"]


def panel_series(figures, group):
    """{series: [(slots, value)]} of a group, in the order of the file."""
    series = {}
    for f in figures:
        if f["group"] == group:
            series.setdefault(f["series"], []).append((f["slots"], f["value"]))
    return series


def nice(slots):
    """12345 as 12k."""
    return f"{slots / 1000:.0f}k" if slots >= 1000 else f"{slots:g}"


def text(x, y, what, size=12, anchor="middle", colour="#333", extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
            f'text-anchor="{anchor}" fill="{colour}" {extra}>'
            f"{escape(what)}</text>")


def line(x1, y1, x2, y2, colour="#ddd", width=1.0):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}" stroke-width="{width}"/>')


def decades(values):
    """Powers of ten around the values."""
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def spread(labels, gap=14):
    """Move labels (y, ...) apart so that none covers another."""
    labels = sorted(labels)
    for i in range(1, len(labels)):
        y = max(labels[i][0], labels[i - 1][0] + gap)
        labels[i] = (y,) + labels[i][1:]
    return labels


def panel(left, title, unit, series):
    """One panel, both axes logarithmic."""
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    low, high = decades(ys)
    x_high = max(math.log10(xs[-1]), 1)

    def at(x, y):
        return (left + PANEL_W * math.log10(x) / x_high,
                TOP + PANEL_H * (high - math.log10(y)) / (high - low))

    out = [text(left + PANEL_W / 2, TOP - 22, f"{title}, {unit}", 15, extra='font-weight="600"')]
    for power in range(low, high + 1):
        _, y = at(1, 10 ** power)
        out.append(line(left, y, left + PANEL_W, y))
        out.append(text(left - 8, y + 4, nice(10 ** power), anchor="end"))
    for x in xs:
        px, _ = at(x, 10 ** low)
        out.append(line(px, TOP + PANEL_H, px, TOP + PANEL_H + 5, "#888"))
        out.append(text(px, TOP + PANEL_H + 20, nice(x)))
    out.append(line(left, TOP + PANEL_H, left + PANEL_W, TOP + PANEL_H, "#888"))
    out.append(text(left + PANEL_W / 2, TOP + PANEL_H + 42, "slots"))

    labels = []
    for colour, (name, points) in zip(COLOURS, series.items()):
        path = " ".join(f"{px:.1f},{py:.1f}"
                        for px, py in (at(x, y) for x, y in sorted(points)))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                   f'stroke-width="2"/>')
        for x, y in points:
            px, py = at(x, y)
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" '
                       f'fill="{colour}"/>')
        x, y = max(points)
        labels.append((at(x, y)[1] + 4, name, colour, y))
    for y, name, colour, value in spread(labels):
        out.append(text(left + PANEL_W + 8, y, f"{name}: {value:.0f} {unit}", 12,
                        "start", colour))
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: plot.py JSON SVG")
    with open(sys.argv[1], encoding="utf-8") as f:
        figures = json.load(f)["figures"]
    panels = [("A lookup, random pages", panel_series(figures, "lookup, random")),
              ("A transaction that moves a slot", panel_series(figures, "transaction"))]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
           f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
           f'font-family="sans-serif">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    left = LEFT
    for title, series in panels:
        if not series:
            sys.exit(f"plot.py: no figures for \"{title}\"")
        out += panel(left, title, "ns", series)
        left += PANEL_W + GAP
    out.append("</svg>")
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
