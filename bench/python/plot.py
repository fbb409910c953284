"""Bars on a logarithmic scale, as SVG: one picture a model, one panel a size."""

from __future__ import annotations

import math
from html import escape

PANEL_WIDTH, BAR, GAP, LABELS, TOP, BOTTOM = 250, 16, 8, 190, 64, 34
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2933; }
  .title { font-size: 15px; font-weight: 600; } .axis { fill: #66727f; font-size: 11px; }
  .grid { stroke: #d5dbe1; } .peer { fill: #9fb3c8; } .ours { fill: #d9480f; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e9ee; } .axis { fill: #9aa5b1; } .grid { stroke: #3a444e; } .peer { fill: #627d98; } .ours { fill: #ff922b; }
  }"""


def bars(title: str, engines: list[str], panels: list[tuple[str, dict[str, float]]]) -> str:
    """`panels` are (heading, microseconds per row by engine); engines that begin with "tribunal" stand out."""
    values = [value for _, times in panels for value in times.values()]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    plot_width = PANEL_WIDTH - 62
    height = TOP + len(engines) * (BAR + GAP) + BOTTOM
    width = LABELS + len(panels) * PANEL_WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    for row, engine in enumerate(engines):
        parts.append(f'<text x="{LABELS - 10}" y="{_middle(row)}" text-anchor="end">{escape(engine)}</text>')
    for number, (heading, times) in enumerate(panels):
        left = LABELS + number * PANEL_WIDTH
        parts.append(f'<text x="{left}" y="{TOP - 14}">{escape(heading)}</text>')
        parts += _grid(left, plot_width, low, high, height)
        for row, engine in enumerate(engines):
            if engine not in times:
                continue
            length = max(1.0, (math.log10(times[engine]) - low) / (high - low) * plot_width)
            kind = "ours" if engine.startswith("tribunal") else "peer"
            top = TOP + row * (BAR + GAP)
            parts.append(f'<rect class="{kind}" x="{left}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>')
            parts.append(f'<text x="{left + length + 5:.1f}" y="{_middle(row)}">{number_text(times[engine])}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _middle(row: int) -> int:
    return TOP + row * (BAR + GAP) + BAR - 4


def _grid(left: int, plot_width: int, low: int, high: int, height: int) -> list[str]:
    lines = []
    for power in range(low, high + 1):
        x = left + (power - low) / (high - low) * plot_width
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - BOTTOM}"/>')
        label = number_text(10.0**power)
        lines.append(f'<text class="axis" x="{x:.1f}" y="{height - 14}" text-anchor="middle">{label}</text>')
    return lines


def number_text(value: float) -> str:
    """Three significant digits at most, no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
