"""The leaderboard: every trial of a study as a row for people, best first."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial

from registry.metrics import Metric
from training.candidates import Candidate


def leaderboard_rows(
    study: Study, candidates: Sequence[Candidate], outputs: Sequence[str], explored: int, known: int, metric: Metric
) -> list[dict[str, Any]]:
    """Every finished trial, best first by validation; those without a result last.

    Args:
        study: with the trials.
        candidates: that came through, the cross-validated ones last.
        outputs: of the task.
        explored: on how many folds trials were compared.
        known: so many trials, the first ones, are known configurations.
        metric: of the task.
    """
    tried = {candidate.number: candidate for candidate in candidates}
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    rows = [_row(trial, tried.get(trial.number), outputs, explored, known) for trial in finished]
    sign = -1 if metric.greater_is_better else 1
    return sorted(rows, key=lambda row: (row["validation"] is None, sign * (row["validation"] or 0.0), row["trial"]))


def _row(trial: FrozenTrial, candidate: Candidate | None, outputs: Sequence[str], explored: int, known: int) -> dict[str, Any]:
    crossed = candidate is not None and len(candidate.results) > explored
    compared = None if candidate is None else replace(candidate, results=candidate.results[:explored])
    return {
        "trial": trial.number,
        "family": trial.params["family"],
        "validation": None if compared is None else round(compared.score, 6),
        "cross-validated": round(candidate.score, 6) if candidate is not None and crossed else None,
        "rounds": "" if candidate is None else ", ".join(str(candidate.rounds(output)) for output in outputs),
        "seconds": round(trial.user_attrs["fit_seconds"], 1),
        "state": trial.user_attrs["stopped"] or trial.state.name.lower(),
        "parameters": "default" if trial.number < known else str(_readable(trial.params)),
    }


def _readable(params: dict[str, Any]) -> dict[str, Any]:
    shown = {key.split("_", 1)[1]: value for key, value in params.items() if key != "family"}
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in shown.items()}
