"""The page that a person reads: report.md from what report.json holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.result import number

HEAD = """\
# Benchmarks

Written by `make bench`; the raw figures are in `report.json`. Each part says when, with which command, on which machine
and versions it was measured: a benchmark that was run alone replaces its own part only. How each is measured, and why
targets are missed: [benchmarks/METHOD.md](METHOD.md).
"""
COLUMNS = ("", "measured", "target", "", "beside it")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """All benchmarks, one after another, then what they ran on."""
    parts = [HEAD, _lost(results), *(_benchmark(result) for result in results.values()), "# Measured on"]
    return "\n".join([*parts, *_contexts(results)])


def _lost(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Every figure that missed its target."""
    rows = [
        [result["title"], *_figure(figure)[:3]]
        for result in results.values()
        for figure in result["figures"]
        if figure["missed"]
    ]
    missed = table(("", "", "measured", "target"), rows) if rows else "Every figure reached its target.\n"
    return f"## Where we lose\n\n{missed}"


def _benchmark(result: Mapping[str, Any]) -> str:
    lines = [f"## {result['title']}\n"]
    if why := result.get("failed"):
        return "\n".join([*lines, f"**FAILED: {why}**\n", f"`{result['command']}`, {result['date']}.\n"])
    lines += [f"**WRONG, so the figures below count for nothing:** {fault}\n" for fault in result["faults"]]
    lines.append(table(COLUMNS, [_figure(figure) for figure in result["figures"]]))
    for found in result["tables"]:
        lines += [f"{found['title']}:\n", table(found["header"], found["rows"])]
    lines += [f"![{plot['title']}]({plot['file']})\n" for plot in result.get("plots", ())]
    settings = ", ".join(f"{name}: {value}" for name, value in result["settings"].items())
    lines.append(f"`{result['command']}`, {result['date']}; {settings}.\n")
    return "\n".join(lines)


def _figure(figure: Mapping[str, Any]) -> list[str]:
    word = ("missed" if figure["missed"] else "reached") if figure["target"] else ""
    rounds = figure["rounds"]
    value = f"**{number(figure['value'])}** {figure['unit']}".strip()
    behind = f" ({number(min(rounds))} to {number(max(rounds))})" if len(rounds) > 1 else ""
    return [figure["name"], value + behind, figure["target"], word, figure["peer"]]


def _contexts(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Machine and versions; once for benchmarks that share them."""
    published: dict[str, list[str]] = {}
    for name, result in results.items():
        rows = [[key, value] for key, value in {**result["machine"], **result["versions"]}.items()]
        load = next((row for row in rows if row[0].startswith("load")), None)
        published.setdefault(table(("", ""), [row for row in rows if row is not load]), []).append(
            f"{name} (load average before: {load[1] if load else 'unknown'})"
        )
    return [f"\n{', '.join(names)}:\n\n{text}" for text, names in published.items()]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
