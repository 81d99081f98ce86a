"""Pictures for people, as PNG bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_POINTS = 4_000
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Of Okabe and Ito (2008): told apart by colour-blind readers too."""
_LINE = "#D55E00"


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """A log-log scatter with the identity line, thinned to 4,000 evenly spaced rows (the title says so).

    Args:
        actual, predicted: prices in US dollars, shape (n,).
        title: of the picture.
    """
    figure, axes = _canvas(5.5, 5)
    _thinned(axes, actual, predicted, title)
    ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
    axes.plot(ends, ends, color=_LINE, linewidth=1, label="predicted = actual")
    axes.set(xscale="log", yscale="log", xlabel="actual price, US dollars", ylabel="predicted price, US dollars")
    axes.legend(loc="upper left", frameon=False)
    return _png(figure)


def residuals_by_price(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """Errors in percent of the actual price over the predicted price; on the line is no error."""
    figure, axes = _canvas(6.5, 4)
    _thinned(axes, predicted, 100 * (predicted - actual) / actual, title)
    axes.axhline(0, color=_LINE, linewidth=1)
    axes.set(xscale="log", xlabel="predicted price, US dollars", ylabel="error, % of the actual price")
    return _png(figure)


def lines_by_month(
    months: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    title: str,
    ylabel: str,
    mark: str | None = None,
    level: float | None = None,
) -> bytes:
    """One line for each named series over months.

    Args:
        months: `YYYY-MM`, in order.
        series: a value (None: a gap) for each month.
        title, ylabel: words.
        mark: a month to mark with a vertical line, labelled `holdout`.
        level: a value to mark with a horizontal line.
    """
    figure, axes = _canvas(8, 4)
    at = np.arange(len(months))
    for colour, (name, values) in zip(_COLOURS * 2, series.items(), strict=False):
        axes.plot(at, [np.nan if v is None else v for v in values], label=name, color=colour, linewidth=1.5)
    if mark is not None and mark in months:
        axes.axvline(list(months).index(mark) - 0.5, color="grey", linestyle=":", linewidth=1)
        axes.annotate("holdout", (list(months).index(mark), 1), xycoords=("data", "axes fraction"), va="bottom")
    if level is not None:
        axes.axhline(level, color="grey", linestyle="--", linewidth=1)
    _month_ticks(axes, months)
    axes.set(ylabel=ylabel)
    axes.set_title(title, fontsize=10, pad=16)
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def rows_and_shares(
    months: Sequence[str], rows: Sequence[int], shares: Mapping[str, Sequence[float]], title: str
) -> bytes:
    """Rows by month above, and below them shares in percent, one line for each.

    Args:
        months: `YYYY-MM`, in order.
        rows: of each month.
        shares: percent of each month, by name.
        title: of the picture.
    """
    figure, (above, below) = _panels(8, 5)
    at = np.arange(len(months))
    above.bar(at, rows, color=_COLOURS[0], width=0.9)
    above.set(ylabel="rows")
    above.set_title(title, fontsize=10)
    for colour, (name, values) in zip(_COLOURS[1:] * 2, shares.items(), strict=False):
        below.plot(at, values, label=name, color=colour, linewidth=1.5, marker="." if len(months) < 3 else None)
    below.set(ylabel="null, %", ylim=(0, max(1.0, *(1.05 * value for values in shares.values() for value in values))))
    below.legend(frameon=False, fontsize=8)
    _month_ticks(below, months)
    return _png(figure)


def stacked_by_month(months: Sequence[str], parts: Mapping[str, Sequence[float]], title: str, ylabel: str) -> bytes:
    """Bars by month made of named parts, the first at the bottom.

    Args:
        months: `YYYY-MM`, in order.
        parts: a value of each month, by name.
        title, ylabel: words.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _canvas(8, 4)
    at, bottom = np.arange(len(months)), np.zeros(len(months))
    for colour, (name, values) in zip(_COLOURS * 2, parts.items(), strict=False):
        axes.bar(at, values, bottom=bottom, label=name, color=colour, width=0.9)
        bottom += np.array(values, dtype=float)
    axes.set(ylabel=ylabel)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize=10)
    if parts:
        axes.legend(frameon=False, fontsize=8)
    _month_ticks(axes, months)
    return _png(figure)


def fan(
    known: Mapping[str, float], forecast: Sequence[tuple[str, float, float | None, float | None]], title: str
) -> bytes:
    """Known prices, and from the last of them on a forecast with its interval.

    Args:
        known: US dollars by month, in order; at least one.
        forecast: month, price, low and high (None without an interval), in order.
        title: of the picture.
    """
    figure, axes = _canvas(8, 4)
    months = [*known, *(month for month, *_ in forecast)]
    prices = list(known.values())
    axes.plot(np.arange(len(known)), prices, color=_COLOURS[1], linewidth=1.5, label="known")
    at = np.arange(len(known) - 1, len(months))
    axes.plot(at, [prices[-1], *(p for _, p, _, _ in forecast)], color=_COLOURS[0], linewidth=1.5, label="forecast")
    low, high = ([prices[-1], *(np.nan if row[end] is None else row[end] for row in forecast)] for end in (2, 3))
    axes.fill_between(at, low, high, color=_COLOURS[4], alpha=0.3, linewidth=0, label="90% interval")
    axes.set(ylabel="US dollars")
    axes.yaxis.set_major_formatter("${x:,.0f}")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    _month_ticks(axes, months)
    return _png(figure)


def bars(labels: Sequence[str], values: Sequence[float], title: str, xlabel: str) -> bytes:
    """Horizontal bars, the first label on top."""
    figure, axes = _canvas(6.5, 1.2 + 0.24 * len(labels))
    axes.barh(np.arange(len(labels)), values, color=_COLOURS[0])
    axes.set_yticks(np.arange(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel)
    axes.set_title(title, fontsize=10)
    return _png(figure)


def trial_history(trials: Sequence[int], scores: Sequence[float], pruned: Sequence[bool], title: str) -> bytes:
    """Score of each trial, pruned ones hollow, and the best complete one so far."""
    figure, axes = _canvas(6.5, 4)
    at, score, cut = np.array(trials), np.array(scores), np.array(pruned)
    axes.scatter(at[~cut], score[~cut], color=_COLOURS[0], label="complete")
    axes.scatter(at[cut], score[cut], facecolors="none", edgecolors=_COLOURS[0], label="pruned at a stage")
    best = np.minimum.accumulate(np.where(cut, np.inf, score))
    axes.step(at, best, where="post", color=_LINE, linewidth=1, label="best so far")
    axes.set(xlabel="trial", ylabel="RMSE / mean price, mean of the folds")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _canvas(width: float, height: float) -> tuple["Figure", "Axes"]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _panels(width: float, height: float) -> tuple["Figure", tuple["Axes", "Axes"]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    return figure, (above, below)


def _month_ticks(axes: "Axes", months: Sequence[str]) -> None:
    step = max(1, len(months) // 12)
    axes.set_xticks(np.arange(len(months))[::step], months[::step], rotation=45, ha="right")


def _thinned(axes: "Axes", x: np.ndarray, y: np.ndarray, title: str) -> None:
    step = max(1, x.size // _MAX_POINTS)
    axes.scatter(x[::step], y[::step], s=5, alpha=0.35, color=_COLOURS[0], linewidths=0)
    axes.set_title(title if step == 1 else f"{title}\n(every {step}th of {x.size:,} rows)", fontsize=10)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
