"""The pictures of a report, each a function from figures to a matplotlib Figure."""

from collections.abc import Sequence
from itertools import cycle
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from training.fairness import FOUR_FIFTHS, GroupFigures
from training.report.drawing import AMBER, BLUE, GREEN, INK, MUTED, RED, panels
from training.report.estimates import Estimate
from training.report.measures import RARE, calibration, gains

_COLOURS = (BLUE, AMBER, GREEN, RED, INK, MUTED)
_DEPTHS = LinearSegmentedColormap.from_list("depths", ["#b9d3e6", "#3274a8", "#123c5e"])
_FEW_DECADES = 1000
_SHORT = FuncFormatter(lambda value, _: _short(value))


def estimates(named: Sequence[tuple[str, Estimate]], naive: float, champion: float | None, title: str) -> Figure:
    """Each metric as a dot with its interval; the naive baseline and the champion as lines."""
    figure, (axes,) = panels(1, height=0.9 + 0.32 * len(named))
    for place, (_, estimate) in enumerate(reversed(named)):
        if estimate.interval:
            axes.plot(estimate.interval, (place, place), color=BLUE, linewidth=3, alpha=0.35, solid_capstyle="round")
        axes.plot(estimate.value, place, "o", color=BLUE, markersize=6)
    axes.axvline(naive, color=MUTED, linestyle=":", label="naive baseline")
    if champion is not None:
        axes.axvline(champion, color=AMBER, linestyle="--", label="champion")
    axes.set_yticks(range(len(named)), [name for name, _ in reversed(named)])
    axes.set_ylim(-0.6, len(named) - 0.4)
    axes.set_xlabel(title)
    axes.xaxis.set_major_formatter(_SHORT)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def calibration_curves(outputs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """Observed rate against predicted probability with 90 % bounds; logarithmic where the event is rare."""
    figure, axes = panels(len(outputs), height=2.7 if len(outputs) > 1 else 3.6)
    for panel, (name, labels, probabilities) in zip(axes, outputs, strict=True):
        table = calibration(labels, probabilities)
        _calibration_curve(panel, table, rare=labels.mean() < RARE)
        panel.set_title(name)
    return figure


def _calibration_curve(axes: Axes, table: pd.DataFrame, rare: bool) -> None:
    predicted, observed = table["predicted"].to_numpy(), table["observed"].to_numpy()
    top = min(1.0, 1.1 * max(float(predicted.max()), float(table["high"].max())))
    least = 0.0
    if rare:
        least = 0.5 * max(min(float(predicted.min()), float(observed[observed > 0].min(initial=1.0))), 1e-6)
        axes.set(xscale="log", yscale="log")
    axes.set(xlim=(least, top), ylim=(least, top))
    if rare:
        _decades(axes)
    axes.axline((least, least), (top, top), color=MUTED, linestyle=":", linewidth=1)
    axes.vlines(predicted, np.maximum(table["low"], least), table["high"], color=BLUE, alpha=0.35, linewidth=3)
    seen = observed > 0 if rare else observed >= 0
    axes.plot(predicted[seen], observed[seen], "o-", color=BLUE, markersize=4, linewidth=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.set(xlabel="predicted", ylabel="observed")


def gains_curves(outputs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """Share of the positives found among the rows with the highest predictions."""
    figure, axes = panels(len(outputs), height=2.7 if len(outputs) > 1 else 3.6)
    for panel, (name, labels, probabilities) in zip(axes, outputs, strict=True):
        taken, found = gains(labels, probabilities)
        panel.fill_between(taken, taken, found, color=BLUE, alpha=0.12, linewidth=0)
        panel.plot(taken, found, color=BLUE)
        panel.plot((0, labels.mean(), 1), (0, 1, 1), color=GREEN, linewidth=0.9, linestyle="--")
        panel.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle=":")
        panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="rows taken, highest first", ylabel="positives found", title=name)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def predicted_and_actual(labels: np.ndarray, predictions: np.ndarray, positive: bool) -> Figure:
    """Density of labels against predictions."""
    figure, (axes,) = panels(1, height=4.2)
    low, high = np.quantile(np.concatenate([labels, predictions]), [0.002, 0.998])
    inside = (labels >= low) & (labels <= high) & (predictions >= low) & (predictions <= high)
    scale: Literal["log", "linear"] = "log" if positive and low > 0 else "linear"
    cells = axes.hexbin(
        predictions[inside], labels[inside], gridsize=38, xscale=scale, yscale=scale, bins="log", cmap=_DEPTHS, mincnt=1
    )
    cells.set_rasterized(True)
    axes.axline((low, low), (high, high), color=AMBER, linewidth=1.2, label="prediction = label")
    axes.set(xlabel="predicted", ylabel="label", xlim=(low, high), ylim=(low, high))
    if scale == "log":
        _decades(axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_SHORT)
    axes.legend(loc="upper left")
    return figure


def residuals(table: pd.DataFrame) -> Figure:
    """Median and 10–90 % range of label − prediction by decile of the prediction."""
    figure, (axes,) = panels(1, height=2.9)
    places = np.arange(1, len(table) + 1)
    axes.axhline(0, color=MUTED, linewidth=1, linestyle=":")
    axes.vlines(places, table["low"], table["high"], color=BLUE, alpha=0.3, linewidth=7)
    axes.plot(places, table["middle"], "o", color=BLUE, markersize=5)
    axes.set(xlabel="decile of the prediction", ylabel="label − prediction", xticks=places)
    axes.yaxis.set_major_formatter(_SHORT)
    return figure


def coverages(table: pd.DataFrame, aim: float) -> Figure:
    """Share of labels inside the 90 % interval by segment of the prediction."""
    figure, (axes,) = panels(1, height=2.7)
    places = np.arange(len(table))
    shares = table["share"].to_numpy()
    error = 1.6449 * np.sqrt(shares * (1 - shares) / table["rows"].to_numpy())
    axes.axhline(aim, color=MUTED, linestyle=":", linewidth=1.2)
    axes.vlines(places, shares - error, np.minimum(shares + error, 1), color=BLUE, alpha=0.35, linewidth=4)
    axes.plot(places, shares, "o", color=BLUE, markersize=6)
    axes.set_xticks(places, [_range(low, high) for low, high in table[["low", "high"]].to_numpy()])
    axes.tick_params("x", rotation=30 if len(table) > 5 else 0)
    axes.set(
        xlabel="prediction", ylabel="covered", ylim=(min(0.7, float(shares.min()) - 0.05), 1.0), xlim=(-0.5, len(table) - 0.5)
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def confusions(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Share of each true class that was predicted as each class."""
    figure, (axes,) = panels(1, height=1.6 + 0.45 * len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for row, column in np.ndindex(*shares.shape) if len(classes) <= 12 else ():
        colour = "#ffffff" if shares[row, column] > 0.55 else "#20303f"
        axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=30 if len(classes) > 4 else 0)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def favourable_rates(columns: Sequence[tuple[str, Sequence[GroupFigures]]]) -> Figure:
    """Favourable decisions by group; one panel per protected column, one mark per output."""
    most = max(len(several[0].table) for _, several in columns)
    figure, axes = panels(len(columns), height=0.9 + 0.3 * most, across=2)
    for panel, (title, several) in zip(axes, columns, strict=True):
        names = list(several[0].table["favourable"].dropna().index)
        for found, colour, mark in zip(several, cycle(_COLOURS), cycle("osD^v"), strict=False):
            rates = found.table["favourable"].dropna()
            places = [len(names) - 1 - names.index(group) for group in rates.index if group in names]
            kept = [rates[group] for group in rates.index if group in names]
            panel.scatter(kept, places, color=colour, marker=mark, s=26, alpha=0.85, label=found.output, zorder=3)
        panel.set_yticks(range(len(names)), [f"{group} · {several[0].table['rows'][group]:,}" for group in reversed(names)])
        highest = max(float(found.table["favourable"].max()) for found in several)
        panel.set(ylim=(-0.6, len(names) - 0.4), xlim=(0, min(1.03, 1.1 * highest + 0.01)), title=title)
        panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if len(columns[0][1]) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def four_fifths(rules: Sequence[tuple[str, GroupFigures]]) -> Figure:
    """Least against greatest favourable rate, with its 90 % interval, for every output and protected column."""
    figure, (axes,) = panels(1, height=0.8 + 0.26 * len(rules))
    for place, (_, found) in enumerate(reversed(rules)):
        if found.four_fifths is not None:
            rule = found.four_fifths
            colour = BLUE if rule.met else RED
            axes.plot((rule.low, rule.high), (place, place), color=colour, linewidth=3, alpha=0.35, solid_capstyle="round")
            axes.plot(rule.ratio, place, "o", color=colour, markersize=5)
    axes.axvline(FOUR_FIFTHS, color=AMBER, linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(rules)), [name for name, _ in reversed(rules)])
    axes.set(ylim=(-0.6, len(rules) - 0.4), xlabel="least / greatest favourable rate")
    axes.set_xlim(right=1.02)
    return figure


def trials(validation: pd.DataFrame, title: str) -> Figure:
    """Every trial's validation metric in the order they ran, coloured by family, with the best so far."""
    figure, (axes,) = panels(1, height=2.7)
    colours = dict(zip(sorted(set(validation["family"])), cycle(_COLOURS), strict=False))
    for family, tried in validation.groupby("family"):
        axes.scatter(tried["trial"], tried["validation"], s=22, color=colours[family], label=str(family))
    axes.set(xlabel="trial", ylabel=title)
    axes.yaxis.set_major_formatter(_SHORT)
    axes.legend(loc="best")
    return figure


def _decades(axes: Axes) -> None:
    """Labels at the powers of ten, over few of them also at 2 and 5; matplotlib's own would need its markup."""
    low, high = axes.get_xlim()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _FEW_DECADES * low else (1,)))
        axis.set_minor_formatter(NullFormatter())


def _range(low: float, high: float) -> str:
    if np.isinf(low):
        return "all" if np.isinf(high) else f"< {_short(high)}"
    return f"≥ {_short(low)}" if np.isinf(high) else f"{_short(low)}–{_short(high)}"


def _short(value: float) -> str:
    size = abs(value)
    for step, suffix in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if size >= step:
            return f"{value / step:.3g}{suffix}"
    return f"{value:.4g}"
