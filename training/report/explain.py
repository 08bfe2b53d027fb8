"""What moves the predictions: SHAP pictures and the reasons that would be given."""

import threading
import warnings
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from registry.encoding import ModelColumn, encode
from registry.reasons import Direction, reason_codes
from training.fairness import FEWEST
from training.report.drawing import Picture, house_style
from training.report.evidence import Evidence, Judged
from training.report.words import number, percent

SAMPLE = 500
MOST_VIEWS = 5
SHOWN_FEATURES = 14
_TITLE_WIDTH = 36

_PYPLOT = threading.Lock()
"""shap draws by pyplot, which knows one current figure per process."""

_SPACES = {"logit": "log-odds", "log": "log of the amount", "identity": "label units", "softmax": "log-odds of the class"}


@dataclass(frozen=True)
class View:
    """Exact contributions of sampled rows to one output, or to one class of it.

    Attributes:
        name: file-name part; `title`: for people.
        sample: the rows; `contributions`: (rows, features + 1) in margin space; `predictions`: (rows,).
    """

    name: str
    title: str
    judged: Judged
    sample: pd.DataFrame
    contributions: np.ndarray
    predictions: np.ndarray


def views(evidence: Evidence) -> list[View]:
    """Up to `MOST_VIEWS` views over `SAMPLE` rows in all, rows drawn by the training's seed."""
    chosen = evidence.judged[:MOST_VIEWS]
    most = SAMPLE if len(chosen) == 1 else SAMPLE // 2
    found: list[View] = []
    for judged in chosen:
        count = min(most, len(judged.rows))
        places = np.sort(np.random.default_rng(evidence.seed).choice(len(judged.rows), count, replace=False))
        sample = judged.rows.iloc[places].reset_index(drop=True)
        found += _views_of(evidence, judged, sample, judged.predictions[places])
    return found


def _views_of(evidence: Evidence, judged: Judged, sample: pd.DataFrame, predictions: np.ndarray) -> list[View]:
    contributions = np.asarray(evidence.scorer.contributions(sample, judged.output))
    if contributions.ndim == 2:
        return [View(judged.output, judged.output, judged, sample, contributions, predictions)]
    commonest = np.argsort(-np.bincount(judged.labels.astype(int), minlength=predictions.shape[1]), kind="stable")[:3]
    return [
        View(
            f"{judged.output}_{code}",
            f"{judged.output} = {evidence.task.classes[code]}",
            judged,
            sample,
            contributions[:, code],
            predictions[:, code],
        )
        for code in commonest
    ]


def beeswarm(evidence: Evidence, view: View) -> Picture:
    """The contributions of every sampled row, features by mean size; colour is the value, grey for categories and missing."""
    import shap

    sizes = np.abs(view.contributions[:, :-1]).mean(axis=0)
    heaviest = [evidence.title(evidence.scorer.columns[index]) for index in np.argsort(-sizes)[:3]]
    share = np.sort(sizes)[::-1][:3].sum() / max(sizes.sum(), 1e-12)
    png = _drawn(
        shap.summary_plot,
        f"contribution, {_space(evidence, view)}",
        view.contributions[:, :-1],
        _colours(evidence, view),
        feature_names=_titles(evidence),
        max_display=SHOWN_FEATURES,
        plot_size=(8.4, 0.8 + 0.37 * min(SHOWN_FEATURES, len(sizes))),
        rng=np.random.default_rng(evidence.seed),
    )
    reading = f"{', '.join(heaviest[:-1])} and {heaviest[-1]}" if len(heaviest) > 1 else heaviest[0]
    sentence = f"{reading} make up {percent(share, 0)} of what moves the prediction, over {len(view.sample)} sampled rows."
    return Picture(f"shap_{view.name}", f"What moves {view.title}", sentence, png)


def waterfall(evidence: Evidence, view: View) -> Picture:
    """How the prediction nearest the median of the sample comes about; rare texts are not shown."""
    import shap

    place = int(np.argmin(np.abs(view.predictions - np.median(view.predictions))))
    values = view.contributions[place]
    explanation = shap.Explanation(
        values[:-1],
        base_values=float(values[-1]),
        data=np.array([_as_it_stands(shown(view, place, column)) for column in evidence.scorer.columns_], dtype=object),
        feature_names=_titles(evidence),
    )
    png = _drawn(shap.plots.waterfall, "", explanation, max_display=SHOWN_FEATURES - 2)
    sentence = (
        f"From the baseline {number(float(values[-1]))} this row's features lead to {number(float(values.sum()))} in "
        f"{_space(evidence, view)}, a prediction of {number(float(view.predictions[place]))}."
    )
    return Picture(f"shap_{view.name}_typical", f"A typical row for {view.title}", sentence, png)


def reasons_given(evidence: Evidence, judged: Judged, rows: np.ndarray, direction: Direction) -> Counter[str]:
    """How many of the judged `rows` (places) would be given each reason (English title)."""
    contributions = np.asarray(evidence.scorer.contributions(judged.rows.iloc[rows], judged.output))
    given: Counter[str] = Counter()
    for values in contributions:
        given.update(code.title_en for code in reason_codes(evidence.scorer.columns, values, direction, evidence.columns))
    return given


def _titles(evidence: Evidence) -> list[str]:
    return [_as_it_stands(fill(evidence.title(name), _TITLE_WIDTH)) for name in evidence.scorer.columns]


def _as_it_stands(text: str) -> str:
    """`text` for shap, which draws with formulas: a name with dollar signs is none."""
    return text.replace("$", r"\$")


def _space(evidence: Evidence, view: View) -> str:
    spec = next(spec for spec in evidence.scorer.outputs_ if spec.name == view.judged.output)
    return _SPACES[spec.link]


def _colours(evidence: Evidence, view: View) -> np.ndarray:
    matrix = encode(view.sample, evidence.scorer.columns_)
    for index, column in enumerate(evidence.scorer.columns_):
        if column.vocabulary is not None:  # the place in a vocabulary is no quantity
            matrix[:, index] = np.nan
    return matrix


def shown(view: View, place: int, column: ModelColumn) -> str:
    """A feature of a sampled row, told so that nobody is recognised: numbers rounded, texts only when many rows share them."""
    value = view.sample[column.name].iloc[place] if column.name in view.sample else None
    if value is None or pd.isna(value):
        return "missing"
    if column.vocabulary is not None:
        return str(value)[:24] if (view.judged.rows[column.name] == value).sum() >= FEWEST else "a rare value"
    figure = float(value)
    return f"{figure:.0f}" if figure.is_integer() and abs(figure) < 1000 else number(figure, 3)


def _drawn(plot: Any, label: str, *values: Any, **options: Any) -> bytes:
    """The PNG of a shap plot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _PYPLOT, house_style(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column without any number has no quantiles, and is grey
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        plt.figure()
        plot(*values, show=False, **options)
        figure = plt.gcf()
        figure.axes[0].tick_params("y", labelsize=9)
        for title in figure.axes[0].get_yticklabels():
            title.set_linespacing(0.95)
        if label:
            figure.axes[0].set_xlabel(label, fontsize=10)
        FigureCanvasAgg(figure)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})
        plt.close(figure)
    return buffer.getvalue()
