"""Pictures for people, as PNG bytes."""

import io

import numpy as np

_MAX_POINTS = 4_000


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """A log-log scatter with the identity line, thinned to 4,000 evenly spaced rows (the title says so).

    Args:
        actual, predicted: prices in US dollars, shape (n,).
        title: of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    step = max(1, actual.size // _MAX_POINTS)
    figure, axes = plt.subplots(figsize=(5.5, 5), dpi=100)
    axes.scatter(actual[::step], predicted[::step], s=5, alpha=0.35, color="#0072B2", linewidths=0)
    ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
    axes.plot(ends, ends, color="#D55E00", linewidth=1, label="predicted = actual")
    axes.set(xscale="log", yscale="log", xlabel="actual price, US dollars", ylabel="predicted price, US dollars")
    axes.set_title(title if step == 1 else f"{title}\n(every {step}th of {actual.size:,} rows)", fontsize=10)
    axes.legend(loc="upper left", frameon=False)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()
