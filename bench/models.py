"""Do the learned models beat naive ones? Champions of this `var` on holdouts they never saw: `python -m bench.models`.

Run `make pipeline` first. The holdouts are cut again from the table versions and the seed that each champion records.
"""

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from features.code_lists import PRODUCTS
from features.columns.payments import DESTINATION_COLUMNS
from features.lake import Lake, open_lake
from features.sets import FEATURE_SETS
from registry.loading import LoadedModel
from registry.metrics import METRICS, weighted_median
from registry.models import load_champion
from registry.outputs import inverse_link
from settings import settings
from training.families import FAMILIES, Problem, Rows
from training.split import Split, split
from training.use_cases import training_frame, training_task

SHOWN = 4


@dataclass(frozen=True)
class Line:
    """One comparison on the same rows; `ceiling` is what the simulator's own truth reaches, None where it is not a ranking."""

    what: str
    rival: str
    naive: float
    learned: float
    ceiling: float | None = None


def main() -> None:
    """Print one table: each champion, its naive rival, and what the truth behind the simulated bank would reach."""
    lake = open_lake(settings())
    lines = [*income(lake), *fraud(lake), *prescoring(lake), *recommendation(lake)]
    print("| on the untouched holdout | naive rival | naive | learned | truth |\n| --- | --- | ---: | ---: | ---: |")
    for line in lines:
        figures = [_figure(figure) for figure in (line.naive, line.learned, line.ceiling)]
        print(f"| {line.what} | {line.rival} | {' | '.join(figures)} |")


def _figure(figure: float | None) -> str:
    if figure is None:
        return "–"
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3f}"


def champion_and_split(use_case: str, lake: Lake) -> tuple[LoadedModel, Split]:
    """The champion and the parts of the rows as they were cut when it was trained."""
    model = load_champion(use_case)
    versions = model.scorer.metadata["lake_versions"]
    frame = training_frame(use_case, lake, versions)
    return model, split(training_task(use_case, versions), frame, model.scorer.metadata["seed"])


def truth(name: str) -> pd.DataFrame:
    """A truth file of the simulated bank."""
    return pd.read_parquet(settings().var / "raw" / "truth" / f"{name}.parquet")


def income(lake: Lake) -> list[Line]:
    """WMAE in tenge against the weighted median, on verified incomes and on the latent income behind them."""
    model, parts = champion_and_split("income", lake)
    rows = parts.holdout
    predicted = model.scorer.predict(rows.frame)["income"]
    median = weighted_median(parts.development.labels["income"], parts.development.weights)
    lines = []
    frame = rows.frame.merge(
        truth("incomes").rename(columns={"income": "latent", "month": "as_of"}).astype({"as_of": "datetime64[us]"}),
        on=["client_code", "as_of"],
    )
    assert len(frame) == len(rows.frame), "the truth lacks some clients or months of the holdout"
    for name, labels in (("verified income", rows.labels["income"]), ("latent income", frame["latent"].to_numpy())):
        score = METRICS["wmae"].score
        naive = score(labels, np.full(len(labels), median), rows.weights)
        lines.append(
            Line(
                f"income: WMAE on {name}, KZT (less is better)", "weighted median", naive, score(labels, predicted, rows.weights)
            )
        )
    return lines


def fraud(lake: Lake) -> list[Line]:
    """PR-AUC and ROC-AUC against a booster that sees the amount alone."""
    model, parts = champion_and_split("fraud", lake)
    labels, weights = parts.holdout.labels["fraud"], parts.holdout.weights
    predicted = model.scorer.predict(parts.holdout.frame)["fraud"]
    rival = _amount_only(parts)
    absent = parts.holdout.frame.drop(columns=[column.name for column in DESTINATION_COLUMNS])
    served = model.scorer.predict(absent)["fraud"]
    return [
        Line(
            f"fraud: {METRICS[name].title}, {np.mean(labels):.2%} fraud{seen}",
            "LightGBM on the amount alone",
            METRICS[name].score(labels, rival, weights),
            METRICS[name].score(labels, scores, weights),
        )
        for name in ("pr_auc", "roc_auc")
        for seen, scores in (("", predicted), (", destination unknown", served))
    ]


def _amount_only(parts: Split) -> np.ndarray:
    position = [column.name for column in parts.columns].index("amount")
    fitting = parts.development
    rows = Rows(fitting.matrix[:, [position]], fitting.labels["fraud"], fitting.weights)
    family = FAMILIES["lightgbm"]
    problem = Problem("log_loss", categorical=[], seed=1)
    fitted = family.refit(problem, rows, family.portfolio(problem)[0], 60)
    return inverse_link("logit", fitted.margin(parts.holdout.matrix[:, [position]]))


def prescoring(lake: Lake) -> list[Line]:
    """ROC-AUC per bank against chance, beside the AUC of the bank's own hidden approval probability."""
    model, parts = champion_and_split("prescoring", lake)
    predicted = model.scorer.predict(parts.holdout.frame)
    frame = parts.holdout.frame.merge(truth("applications"), on="application_id", suffixes=("", "_true"))
    lines = []
    for bank in model.scorer.outputs:
        known = parts.holdout.known(bank)
        labels, weights = parts.holdout.labels[bank][known], parts.holdout.weights[known]
        score = METRICS["roc_auc"].score
        ceiling = score(labels, frame[f"{bank}_true"].to_numpy()[known], weights)
        lines.append(
            Line(f"prescoring: ROC-AUC of {bank}", "chance", 0.5, score(labels, predicted[bank][known], weights), ceiling)
        )
    return lines


def recommendation(lake: Lake) -> list[Line]:
    """Share of accepted offers whose product was among the top four of all ten products for that client at that moment."""
    model, parts = champion_and_split("recommendation", lake)
    accepted = parts.holdout.frame[parts.holdout.labels["accepted"] == 1].reset_index(drop=True)
    tables = lake.tables(model.scorer.metadata["lake_versions"])
    asked = ibis.memtable(accepted[["client_code", "as_of"]].drop_duplicates())
    spine = asked.cross_join(ibis.memtable({"product": list(PRODUCTS)}))
    offers = FEATURE_SETS["recommendation"].features(tables, spine).to_pandas()
    offers["learned"] = model.scorer.predict(offers)["accepted"]
    offers["popular"] = offers["product"].map(_acceptance_by_product(parts))
    offers = offers.merge(truth("uptake"), on=["client_code", "product"])
    hits = {name: _hit_rate(offers, accepted, name) for name in ("popular", "learned", "probability")}
    return [Line(f"recommendation: hit@{SHOWN}", "most accepted products", hits["popular"], hits["learned"], hits["probability"])]


def _acceptance_by_product(parts: Split) -> pd.Series:
    frame = parts.development.frame.assign(accepted=parts.development.labels["accepted"])
    return frame.groupby("product")["accepted"].mean()


def _hit_rate(offers: pd.DataFrame, accepted: pd.DataFrame, by: str) -> float:
    ranks = offers.groupby(["client_code", "as_of"])[by].rank(ascending=False, method="first")
    shown = offers.loc[ranks <= SHOWN, ["client_code", "as_of", "product"]]
    return len(accepted.merge(shown, on=["client_code", "as_of", "product"])) / len(accepted)


if __name__ == "__main__":
    main()
