"""Line charts as SVG text: panels one below the other, a legend beside each."""

import math
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 300, 64, 210, 34, 40
INK, GRID, SHADE = "#1b1f24", "#d8dee4", "#f3e9d2"


@dataclass(frozen=True)
class Series:
    """A line; `dash` as in SVG ("" is solid)."""

    name: str
    color: str
    x: list[float]
    y: list[float]
    dash: str = ""


@dataclass(frozen=True)
class Panel:
    """`log_from` > 0: logarithmic from there on. `shade`: a stretch of x; `marks`: y -> words."""

    title: str
    y_label: str
    series: list[Series]
    log_from: float = 0.0
    shade: tuple[float, float] | None = None
    marks: tuple[tuple[float, str], ...] = ()


def chart(panels: list[Panel], x_label: str) -> str:
    """The whole picture."""
    height = HEIGHT * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for n, panel in enumerate(panels):
        parts += [f'<g transform="translate(0 {n * HEIGHT})">', *_panel(panel, x_label), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, x_label: str) -> list[str]:
    xs = [x for s in panel.series for x in s.x]
    ys = [y for s in panel.series for y in s.y] + [y for y, _ in panel.marks]
    low, high = min(xs), max(xs)
    top = max(ys) * 1.1 or 1.0
    base = panel.log_from

    def px(x: float) -> float:
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        share = math.log(max(y, base) / base) / math.log(top / base) if base else y / top
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{panel.title}</text>']
    if panel.shade:
        a, b = px(panel.shade[0]), px(panel.shade[1])
        parts.append(f'<rect x="{a:.1f}" y="{TOP}" width="{b - a:.1f}" height="{floor - TOP}" '
                     f'fill="{SHADE}"/>')
    for y in _ticks(base, top):
        parts.append(f'<path d="M{LEFT} {py(y):.1f}H{right}" stroke="{GRID}"/><text x="{LEFT - 6}" '
                     f'y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for k in range(7):
        x = low + (high - low) * k / 6
        parts.append(f'<text x="{px(x):.1f}" y="{floor + 16}" text-anchor="middle">{x:.4g}</text>')
    for y, words in panel.marks:
        line = f'<path d="M{LEFT} {py(y):.1f}H{right}" stroke="{INK}" stroke-dasharray="2 3"/>'
        parts.append(f'{line}'
                     f'<text x="{right - 4}" y="{py(y) - 4:.1f}" text-anchor="end">{words}</text>')
    for n, one in enumerate(panel.series):
        points = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in zip(one.x, one.y, strict=True))
        style = f'stroke="{one.color}" stroke-width="2" stroke-dasharray="{one.dash}" fill="none"'
        y = TOP + 14 + 20 * n
        parts.append(f'<polyline points="{points}" {style}/><path d="M{right + 12} {y - 4}h24" '
                     f'{style}/><text x="{right + 42}" y="{y}">{one.name}</text>')
    middle = (TOP + floor) / 2
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{x_label}'
                 f'</text><text transform="translate(14 {middle}) rotate(-90)" '
                 f'text-anchor="middle">{panel.y_label}</text>')
    return parts


def _ticks(base: float, top: float) -> list[float]:
    if base:
        first, last = math.ceil(math.log10(base)), math.floor(math.log10(top))
        return [10.0**k for k in range(first, last + 1)]
    step = 10 ** math.floor(math.log10(top))
    step = step / 2 if top / step < 3 else step
    return [step * k for k in range(int(top / step) + 1)]
