"""What a benchmark hands back: figures, tables, plots. How it measures, and why targets are missed: METHOD.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True)
class Figure:
    """A measured number, of one value a round or of one alone, beside its target and the figure of a peer."""

    name: str
    rounds: Sequence[float]
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    peer: str = ""

    @property
    def value(self) -> float:
        """Their median."""
        return median(self.rounds)

    @property
    def target(self) -> str:
        """In words; empty without one."""
        if self.at_least is not None:
            return f"at least {number(self.at_least)} {self.unit}"
        return f"at most {number(self.at_most)} {self.unit}" if self.at_most is not None else ""

    @property
    def missed(self) -> bool:
        """Whether there is a target and it was not reached."""
        low = self.at_least is not None and self.value < self.at_least
        return low or (self.at_most is not None and self.value > self.at_most)


@dataclass(frozen=True)
class Table:
    """Rows under a header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plot:
    """Lines, or groups of bars: `series` has the points (x, y) of each. `name` is a part of its file's name.

    With one x alone (0, say) each series is a bar with its name beside it.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    kind: Literal["line", "bars"] = "line"


def bars(name: str, title: str, unit: str, values: Mapping[str, float]) -> Plot:
    """A bar for each value."""
    return Plot(name, title, "", unit, {of: [(0.0, value)] for of, value in values.items()}, "bars")


@dataclass(frozen=True)
class Result:
    """All of one benchmark. `faults`: what makes its figures worth nothing."""

    title: str
    settings: dict[str, Any]
    figures: Sequence[Figure]
    tables: Sequence[Table] = ()
    faults: Sequence[str] = ()
    raw: dict[str, Any] = field(default_factory=dict)
    plots: Sequence[Plot] = ()


def number(value: float) -> str:
    """As a person writes it: three digits that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def medians(sides: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    """A table of medians: for each side, by its title, the values of its rounds by header, the same for all."""
    header = next(iter(sides.values())).keys()
    rows = [[title, *(number(median(values)) for values in side.values())] for title, side in sides.items()]
    return Table("Medians", ["", *header], rows)


def spread(values: Sequence[float], shown: Callable[[float], str] = number) -> str:
    """The median, with the lowest and the highest of several behind it."""
    behind = f" ({shown(min(values))} to {shown(max(values))})" if len(values) > 1 else ""
    return shown(median(values)) + behind
