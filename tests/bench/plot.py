"""The picture of the comparison: bars of CPU time a request and of requests/s, as SVG by hand.

Both axes are logarithmic, since the servers differ by a factor of a hundred; each bar carries its
figure. Colours hold on light and on dark ground.
"""

import html
import math

WIDTH = 760
LABEL = 116  # room for names
BAR = 20
GAP = 8
PANEL_HEAD = 44
PANEL_GAP = 26
FIGURE = 92  # room for the figure right of the longest bar

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #57606a; }
.title { font-weight: 600; fill: #24292f; }
.small { font-size: 11px; }
.name { text-anchor: end; }
.grid { stroke: #8b949e; stroke-opacity: .3; }
.bar { fill: #8b949e; }
.ours { fill: #1f883d; }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1; }
  .title { fill: #f0f6fc; }
  .ours { fill: #3fb950; }
}
"""


def draw(contenders, caption):
    """The SVG text. `contenders` in the order in which they are shown."""
    panels = [
        ("Server CPU time a request, µs (less is better, logarithmic)", [one.cpu_us for one in contenders]),
        ("Requests a second, one thread (more is better, logarithmic)", [one.requests_per_s for one in contenders]),
    ]
    names = [one.name for one in contenders]
    height = PANEL_HEAD + len(names) * (BAR + GAP) + PANEL_GAP
    total = len(panels) * height + 24
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
             f'width="{WIDTH}" height="{total}" role="img" aria-labelledby="title">',
             f'<title id="title">{html.escape(_in_words(contenders))}</title>', f"<style>{STYLE}</style>"]
    for number, (title, values) in enumerate(panels):
        parts += _panel(number * height, title, names, values)
    parts.append(f'<text class="small" x="{LABEL}" y="{total - 10}">{html.escape(caption)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _in_words(contenders):
    return "Cost of one prediction: " + "; ".join(
        f"{one.name} {one.cpu_us:.0f} µs, {one.requests_per_s:.0f} requests/s" for one in contenders)


def _panel(top, title, names, values):
    low = 10 ** math.floor(math.log10(min(values)))
    high = max(values)
    width = WIDTH - LABEL - FIGURE
    bottom = top + PANEL_HEAD + len(names) * (BAR + GAP)

    def place(value):
        return LABEL + width * math.log10(value / low) / max(math.log10(high / low), 1e-9)

    yield f'<text class="title" x="{LABEL}" y="{top + 18}">{html.escape(title)}</text>'
    tick = low
    while tick <= high:
        x = place(tick)
        yield f'<line class="grid" x1="{x:.1f}" y1="{top + 36}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text class="small" text-anchor="middle" x="{x:.1f}" y="{top + 33}">{_short(tick)}</text>'
        tick *= 10
    for i, (name, value) in enumerate(zip(names, values)):
        y = top + PANEL_HEAD + i * (BAR + GAP)
        kind = "bar ours" if name == "onnxd" else "bar"
        length = max(place(value) - LABEL, 1)
        yield f'<text class="name" x="{LABEL - 8}" y="{y + 15}">{html.escape(name)}</text>'
        yield f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        yield f'<text x="{LABEL + length + 6:.1f}" y="{y + 15}">{_figure(value)}</text>'


def _short(value):
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
