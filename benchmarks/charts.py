"""Charts of results; the file's suffix, such as .png or .svg, says in which format."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import report

matplotlib.rcParams["svg.fonttype"] = "none"

# Colour-blind safe (Wong, Nature Methods 8, 441, 2011).
COLORS = ("#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#000000")


def ratios(runs: Sequence[dict[str, Any]], peers: Sequence[str], about: str, file: Path) -> None:
    """How many times hotloop's time each peer takes: a panel for each number of threads."""
    shown = [peer for peer in peers if peer != "hotloop"]
    figure = Figure(figsize=(11, 1.4 + 3.9 * len(runs)), layout="constrained")
    panels = figure.subplots(len(runs), squeeze=False)[:, 0]
    for axes, run in zip(panels, runs, strict=True):
        _bars(axes, run["results"], shown)
        axes.set_title(report.threads(run["threads"]), loc="left", fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        title="Time of a training step, in times of hotloop's: above 1, hotloop is faster",
        loc="outside upper center",
        ncols=len(labels),
        frameon=False,
    )
    _caption(figure, about)
    figure.savefig(file, dpi=150)


def _bars(axes: Axes, results: Sequence[dict[str, Any]], peers: Sequence[str]) -> None:
    """A group for each case, a bar for each peer, a line at the target."""
    width = 0.84 / max(len(peers), 1)
    for number, peer in enumerate(peers):
        for group, result in enumerate(results):
            ratio = result["peers"].get(peer, {}).get("ratio")
            if ratio:
                left = group - 0.42 + number * width
                color = COLORS[number % len(COLORS)]
                axes.bar(left, ratio - 1, width * 0.9, 1, align="edge", color=color)
                axes.annotate(
                    f"{ratio:.2g}" if ratio < 100 else f"{ratio:,.0f}",
                    (left + width * 0.45, ratio),
                    xytext=(0, 2 if ratio >= 1 else -2),
                    textcoords="offset points",
                    ha="center",
                    va="bottom" if ratio >= 1 else "top",
                    fontsize=7.5,
                )
        axes.bar(0, 0, color=COLORS[number % len(COLORS)], label=peer)
    for group, result in enumerate(results):
        if result["target"]:
            ends = (group - 0.45, group + 0.45)
            label = "target of the fastest peer" if group == 0 else ""
            axes.hlines(result["target"], *ends, colors="0.25", linestyles="dashed", label=label)
    axes.axhline(1, color="0.25", linewidth=1)
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.yaxis.set_major_formatter("{x:g}x")
    axes.set_xticks(range(len(results)), [result["case"]["name"] for result in results])
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def sweep(results: Sequence[dict[str, Any]], about: str, file: Path) -> None:
    """Time of a step over the width of a layer: a panel for each batch size, a line for threads."""
    batches = list(dict.fromkeys(result["batch"] for result in results))
    figure = Figure(figsize=(5.6 * len(batches), 4.8), layout="constrained")
    panels = figure.subplots(1, len(batches), squeeze=False)[0]
    for axes, batch in zip(panels, batches, strict=True):
        shown = [result for result in results if result["batch"] == batch]
        for number, count in enumerate(shown[0]["us"]):
            axes.plot(
                [result["width"] for result in shown],
                [result["us"][count] for result in shown],
                color=COLORS[(0, 3)[number]],
                marker="o",
                markersize=3,
                linewidth=1,
                label=report.threads(int(count)),
            )
        flagged = [result for result in shown if result["flags"]]
        axes.plot(
            [result["width"] for result in flagged],
            [max(result["us"].values()) for result in flagged],
            linestyle="none",
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor="0.25",
            label="flagged",
        )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(f"batch {batch}", loc="left", fontsize=11)
        axes.set_xlabel("units of the hidden layer")
        axes.set_ylabel("microseconds a training step")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    _caption(figure, about)
    figure.savefig(file, dpi=150)


def _caption(figure: Figure, about: str) -> None:
    """What it ran on, below the chart."""
    width = int(13 * figure.get_figwidth())
    figure.supxlabel("\n".join(textwrap.wrap(about, width)), fontsize=7.5, color="0.35")
