"""A flame graph of a profile as SVG: a frame's width is its share of the samples, its colour its part's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape

from benchmarks.stages import Parts, Stacks

WIDTH, LINE, TOP = 1200.0, 15, 26
CHARACTER = 6.2  # pixels of one
LEAST = 0.0015  # of all samples: what is narrower is left out
COLOURS, REST = ("#8ecae6", "#95d5b2", "#ffd166", "#f4a261"), "#d3d3d3"


@dataclass
class _Frame:
    samples: int = 0
    by_part: dict[str, int] = field(default_factory=dict)
    inner: dict[str, "_Frame"] = field(default_factory=dict)


def flame(stacks: Stacks, parts: Parts) -> str:
    """The whole picture."""
    root = _tree(stacks, parts)
    colours = dict(zip(parts.owners, COLOURS, strict=False)) | {parts.rest: REST}
    height = TOP + LINE * (_depth(root, root.samples * LEAST) + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" '
        'font-family="sans-serif" font-size="10">',
        f'<rect width="{WIDTH:.0f}" height="{height}" fill="white"/>',
        *(
            f'<rect x="{10 + 110 * place}" y="6" width="12" height="12" fill="{colour}"/>'
            f'<text x="{26 + 110 * place}" y="16">{part}</text>'
            for place, (part, colour) in enumerate(colours.items())
        ),
    ]
    _draw(root, "all", 0.0, height - LINE, root.samples, colours, lines.append)
    return "\n".join([*lines, "</svg>\n"])


def _tree(stacks: Stacks, parts: Parts) -> _Frame:
    root = _Frame()
    for stack, count in stacks.items():
        part, frame = parts.of(stack), root
        for name in ("", *stack):
            frame = frame.inner.setdefault(name, _Frame()) if name else frame
            frame.samples += count
            frame.by_part[part] = frame.by_part.get(part, 0) + count
    return root


def _depth(frame: _Frame, least: float) -> int:
    return max((1 + _depth(one, least) for one in frame.inner.values() if one.samples >= least), default=0)


def _draw(
    frame: _Frame,
    name: str,
    left: float,
    y: int,
    total: int,
    colours: Mapping[str, str],
    put: Callable[[str], None],
) -> None:
    """The frame, then upon it those it has called, by name, as they fit."""
    width = WIDTH * frame.samples / total
    colour = colours[max(frame.by_part, key=lambda part: frame.by_part[part])]
    title = escape(f"{name}: {frame.samples / total:.1%}")
    fitting = int(width / CHARACTER)
    text = escape(name if len(name) <= fitting else name[: fitting - 1] + "…") if fitting >= 4 else ""
    put(
        f'<g><title>{title}</title><rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{LINE - 1}" '
        f'fill="{colour}" stroke="white" stroke-width="0.5"/><text x="{left + 2:.1f}" y="{y + 10}">{text}</text></g>'
    )
    for inner in sorted(frame.inner):
        one = frame.inner[inner]
        if one.samples >= total * LEAST:
            _draw(one, inner, left, y - LINE, total, colours, put)
        left += WIDTH * one.samples / total
