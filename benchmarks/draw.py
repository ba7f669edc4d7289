"""Draws the plots of a report: `python -m benchmarks.draw FOLDER`, FOLDER/report.json -> FOLDER/plots/*.svg.

A program of its own, because matplotlib is in the benchmarks' environment alone. The same figures give the same
bytes, so that a plot that has not changed is no change for git.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.result import number

#: From this ratio of the largest x to the smallest on, their distances are shown on a logarithmic scale.
WIDE = 20
GROUP = 0.8  # of the distance between two groups of bars
SETTINGS = {"svg.hashsalt": "faust-payments", "svg.fonttype": "none", "font.size": 9, "axes.axisbelow": True}

Series = Mapping[str, Sequence[Sequence[float]]]


def main(folder: Path) -> None:
    """Draw all that report.json has figures for."""
    results: dict[str, Any] = json.loads((folder / "report.json").read_text())
    with mpl.rc_context(SETTINGS):
        for plot in chain.from_iterable(result.get("plots", ()) for result in results.values()):
            if "series" in plot:
                file = folder / plot["file"]
                file.parent.mkdir(exist_ok=True)
                drawn(plot).savefig(file, format="svg", metadata={"Date": None})


def drawn(plot: Mapping[str, Any]) -> Figure:
    """The picture of one plot."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes, series = figure.subplots(), plot["series"]
    axes.set_title(plot["title"])
    if plot["kind"] == "bars" and len(_xs(series)) == 1:
        _names(axes, plot)
        return figure
    (_bars if plot["kind"] == "bars" else _lines)(axes, series)
    most = max((y for points in series.values() for _, y in points), default=1)
    axes.set(xlabel=plot["x_label"], ylabel=plot["y_label"], ylim=(0, 1.08 * most))
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _names(axes: Axes, plot: Mapping[str, Any]) -> None:
    """One group of bars alone: a line for each series, from the top, with its name beside it."""
    values = {name: points[0][1] for name, points in plot["series"].items()}
    drawn = axes.barh(list(values), list(values.values()))
    axes.bar_label(drawn, [number(value) for value in values.values()], padding=3)
    axes.set(xlabel=plot["y_label"], xlim=(0, 1.12 * max(values.values())))
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    axes.grid(axis="x", alpha=0.3)


def _xs(series: Series) -> list[float]:
    return sorted({x for points in series.values() for x, _ in points})


def _lines(axes: Axes, series: Series) -> None:
    for name, points in series.items():
        many = len(points) > 20
        axes.plot(*zip(*points, strict=True), marker="" if many else "o", markersize=4, label=name)
    xs = _xs(series)
    if xs and xs[0] > 0 and xs[-1] / xs[0] >= WIDE:
        axes.set_xscale("log")
    if len(xs) <= 8:
        axes.set_xticks(xs, [number(x) for x in xs])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_formatter(lambda value, _: number(value))


def _bars(axes: Axes, series: Series) -> None:
    """A group for each x, a bar in it for each series."""
    xs, width = _xs(series), GROUP / max(len(series), 1)
    for place, (name, points) in enumerate(series.items()):
        left = (place - (len(series) - 1) / 2) * width
        axes.bar([xs.index(x) + left for x, _ in points], [y for _, y in points], width * 0.92, label=name)
    axes.set_xticks(range(len(xs)), [number(x) for x in xs])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
