"""Line charts as SVG, written by hand: panels above each other over one axis of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT, _HEIGHT, _GAP, _TOP = 900, 64, 16, 170, 46, 40
COLORS = {"blue": "#2563eb", "green": "#15803d", "orange": "#c2410c", "grey": "#6b7280"}


@dataclass(frozen=True)
class Line:
    """A curve; `dashed` for what is wished, `filled` for what is counted."""

    label: str
    color: str
    points: Sequence[tuple[float, float]]
    """Hours since midnight, and how much."""
    dashed: bool = False
    filled: bool = False


@dataclass(frozen=True)
class Panel:
    """One chart."""

    title: str
    lines: Sequence[Line]


def chart(title: str, panels: Sequence[Panel]) -> str:
    """The picture, as text of a file."""
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, _TOP + number * (_HEIGHT + _GAP) + 20)
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, top: float) -> Iterator[str]:
    hours = [x for line in panel.lines for x, _ in line.points]
    begin, end = min(hours), max(hours)
    step = _step(max(max(y for line in panel.lines for _, y in line.points), 1e-9))
    highest = max(y for line in panel.lines for _, y in line.points)
    steps = max(1, -(-highest // step))
    height, width = _HEIGHT - 24, _WIDTH - _LEFT - _RIGHT

    def at(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + (x - begin) / (end - begin) * width
        return right, top + height - y / (steps * step) * height

    yield f'<text x="{_LEFT}" y="{top - 6:.0f}" font-weight="bold">{escape(panel.title)}</text>'
    yield from _legend(panel, top)
    for index in range(int(steps) + 1):
        _, y = at(begin, index * step)
        color = "#9ca3af" if index == 0 else "#e5e7eb"
        yield f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{color}"/>'
        label = f"{index * step:,g}"
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    every = 3 if end - begin > 12 else 1
    for hour in range(int(begin), int(end) + 1, every):
        x, y = at(hour, 0)
        yield f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{hour:02}:00</text>'
    for line in panel.lines:
        yield _curve(line, [at(*point) for point in line.points], at(begin, 0)[1])


def _curve(line: Line, points: Sequence[tuple[float, float]], floor: float) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in _thinned(points))
    color = COLORS[line.color]
    if line.filled:
        path += f"L{points[-1][0]:.1f} {floor:.1f}L{points[0][0]:.1f} {floor:.1f}Z"
        return f'<path d="{path}" fill="{color}" fill-opacity="0.25" stroke="{color}"/>'
    dashes = ' stroke-dasharray="4 3"' if line.dashed else ""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.5"{dashes}/>'


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without those in the middle of a level stretch."""
    found = []
    for index, point in enumerate(points):
        around = points[max(0, index - 1) : index + 2]
        if len(around) < 3 or any(abs(y - point[1]) > 1e-9 for _, y in around):
            found.append(point)
    return found


def _legend(panel: Panel, top: float) -> Iterator[str]:
    right = float(_WIDTH - _RIGHT)
    for line in reversed(panel.lines):
        label = escape(line.label)
        yield f'<text x="{right:.0f}" y="{top - 6:.0f}" text-anchor="end">{label}</text>'
        right -= 7 * len(line.label) + 8
        dashes = ' stroke-dasharray="4 3"' if line.dashed else ""
        yield (
            f'<path d="M{right - 18:.0f} {top - 10:.0f}h18" stroke="{COLORS[line.color]}" '
            f'stroke-width="3"{dashes}/>'
        )
        right -= 34


def _step(highest: float) -> float:
    """Of 1, 2, 5 and their tens, the one that makes three to six steps."""
    step = 1e-3
    for factor in (2, 2.5, 2) * 12:
        if highest / step <= 5:
            return step
        step *= factor
    return step
