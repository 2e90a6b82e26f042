"""The charts of a training run, drawn by Matplotlib: see `History.plot`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .. import figures
from ..notebook import TRAINING, VALIDATION

if TYPE_CHECKING:
    from .history import History

GREY = "#5b6470"

FEW_EPOCHS = 30  # so few have a dot each
WIDE_SPAN = 100.0  # from the smallest to the largest value, for a logarithmic scale
COLUMNS = 3


def draw(
    history: History,
    metrics: str | Sequence[str] | None,
    axes: Any,
    path: str | PathLike[str] | None,
    log: bool | str,
    title: str | None,
) -> Any:
    """The figure."""
    if log not in (True, False, "auto"):
        raise ValueError(f"log must be True, False or 'auto', not {log!r}")
    names = _names(history, metrics)
    charts = _new_charts(len(names)) if axes is None else _given_charts(axes, names)
    for name, chart in zip(names, charts, strict=True):
        _draw_metric(history, name, chart, log)
    figure = charts[0].figure
    if title is not None:
        figure.suptitle(title)
    if path is not None:
        figures.save(figure, path)
    return figure


def _names(history: History, metrics: str | Sequence[str] | None) -> list[str]:
    known = history.metric_names()
    if not known:
        raise ValueError("the history is empty: there is nothing to plot before an epoch is over")
    if metrics is None:
        return known
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    names = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"the history has no metric {', '.join(unknown) or 'of no name'}; it has "
            + ", ".join(known)
        )
    return names


def _new_charts(count: int) -> list[Any]:
    columns = 2 if count == 4 else min(count, COLUMNS)
    rows = -(-count // columns)
    figure = figures.empty(max(6.4, 4.4 * columns), 3.6 * rows + 0.4)
    return [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _given_charts(axes: Any, names: Sequence[str]) -> list[Any]:
    charts = [axes] if hasattr(axes, "plot") else [*getattr(axes, "flat", axes)]
    if len(charts) != len(names):
        raise ValueError(
            f"axes are {len(charts)}, but there are {len(names)} metrics to draw: "
            + ", ".join(names)
        )
    return charts


def _draw_metric(history: History, name: str, chart: Any, log: bool | str) -> None:
    curves = [
        (key, label, colour)
        for key, label, colour in (
            (name, "training", TRAINING),
            (f"val_{name}", "validation", VALIDATION),
        )
        if key in history.history
    ]
    for key, label, colour in curves:
        epochs, values = history.epochs_of(key), [_finite(v) for v in history.history[key]]
        many = len(values) > FEW_EPOCHS
        chart.plot(
            epochs,
            values,
            color=colour,
            label=label,
            linewidth=1.2 if many else 1.6,
            marker=None if many else "o",
            markersize=4,
        )
    _mark_best(history, curves[-1][0], chart)
    chart.set(title=name, xlabel="epoch")
    values = [v for key, *_ in curves for v in history.history[key] if math.isfinite(v)]
    if not values:
        chart.text(0.5, 0.5, "no finite value", transform=chart.transAxes, ha="center")
    elif log is True or (log == "auto" and _spans_much(history, name, values)):
        chart.set(yscale="log", ylabel="log scale")
    _tidy(chart)


def _mark_best(history: History, key: str, chart: Any) -> None:
    """A ring around the best value of the last curve, if there is a choice."""
    best = history.best(key)
    if best is None or len(history.history[key]) < 2:
        return
    epoch, value = history.epochs_of(key)[best], history.history[key][best]
    chart.axvline(epoch, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    chart.plot(
        [epoch],
        [value],
        linestyle="none",
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=1.3,
        zorder=4,
        label=f"best: {value:.4g} in epoch {epoch}",
    )


def _spans_much(history: History, name: str, values: Sequence[float]) -> bool:
    """Whether a metric, unless it should rise, has values of many sizes."""
    return (
        history.rises(name) is not True
        and min(values) > 0
        and max(values) >= WIDE_SPAN * min(values)
    )


def _tidy(chart: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    chart.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    chart.grid(color="#d8dee4", linewidth=0.6)
    chart.set_axisbelow(True)
    chart.spines[["top", "right"]].set_visible(False)
    chart.legend(frameon=False, fontsize="small")


def _finite(value: float) -> float:
    """A gap where a value has no place on a chart."""
    return value if math.isfinite(value) else math.nan
