"""Curves as SVG, written by hand: precision over recall of each judge, observed over predicted share of fraud."""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np

from antifraud.training.rows import Flags, Floats

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 400, 56, 440, 44, 30
COLOURS = ("#0b62a4", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#117a8b", "#7f8c8d", "#444444")
POINTS = 120  # of a curve

Curve = tuple[Floats, Floats]


def precision_recall(fraud: Flags, suspicion: Floats) -> Curve:
    """Return recall and precision from the most suspicious row on, thinned to POINTS; ties fall together."""
    _, place = np.unique(-suspicion, return_inverse=True)
    found = np.cumsum(np.bincount(place, weights=fraud))
    taken = np.cumsum(np.bincount(place))
    recall, precision = found / fraud.sum(), found / taken
    at = np.unique(np.searchsorted(recall, np.linspace(0.005, 1, POINTS)).clip(0, len(recall) - 1))
    return recall[at], precision[at]


def reliability(fraud: Flags, probability: Floats, bins: int = 10) -> Curve:
    """Return predicted and observed shares of fraud in bins of equal width that have at least 20 rows."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    full = rows >= 20
    predicted = np.bincount(place, weights=probability, minlength=bins)[full] / rows[full]
    observed = np.bincount(place, weights=fraud, minlength=bins)[full] / rows[full]
    return predicted, observed


def chart(title: str, across: str, up: str, curves: dict[str, Curve], diagonal: bool = False) -> str:
    """Return an SVG of curves within 0 to 1 both ways."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for share in np.linspace(0, 1, 6):
        parts += [
            f'<path d="M{LEFT} {_y(share):.0f}H{RIGHT}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{_y(share) + 4:.0f}" text-anchor="end">{share:.1f}</text>',
            f'<text x="{_x(share):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{share:.1f}</text>',
        ]
    parts += [
        f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(14 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    if diagonal:
        parts.append(
            f'<path d="M{_x(0):.0f} {_y(0):.0f}L{_x(1):.0f} {_y(1):.0f}" stroke="#999" stroke-dasharray="4"/>'
        )
    for number, (name, (across_, up_)) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in zip(across_, up_, strict=True))
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>',
            f'<text x="{RIGHT + 10}" y="{TOP + 16 * (number + 1)}" fill="{colour}">{escape(name[:30])}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(share: float) -> float:
    return LEFT + share * (RIGHT - LEFT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
