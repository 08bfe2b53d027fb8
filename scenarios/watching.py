"""What monitoring says at the end of a day, and what the loop does about it: the same functions as the flows call."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flows.quality import QualityResult, judge_quality
from flows.respond import Gated, RespondRequest, Response, gate_challengers, respond_to
from monitoring.observation import compare
from monitoring.rows import open_journal
from monitoring.standing import record_told
from monitoring.watch import Watched
from registry import models
from registry.loading import LoadedModel
from settings import Settings

DRIFT_DAYS = 30
QUALITY_DAYS = 30


@dataclass(frozen=True)
class Answer:
    """An event, and what the loop did about it."""

    event: RespondRequest
    response: Response


@dataclass(frozen=True)
class Evening:
    """What was known and done at the end of a day.

    Attributes:
        watched: the drift report.
        quality: realised and estimated quality.
        gated: verdicts on challengers whose time in shadow was over.
        answers: to the day's events, drift before quality.
        version: champion at the end of it.
    """

    watched: Watched
    quality: QualityResult
    gated: tuple[Gated, ...]
    answers: tuple[Answer, ...]
    version: str


class Watch:
    """Judges the model of a use case at the end of each day and lets the loop answer."""

    def __init__(self, use_case: str, config: Settings) -> None:
        self._use_case = use_case
        self._config = config
        self._engine = open_journal(config)
        self._model = models.load_champion(use_case, config)

    def evening(self, at: datetime) -> Evening:
        """Gate what was in shadow, judge drift and quality of the champion at the moment `at`, answer the events that follow."""
        gated = tuple(gate_challengers(at, self._config))
        model = self._champion()
        watched = compare(model, at - timedelta(days=DRIFT_DAYS), at, self._config)
        record_told(self._engine, self._use_case, at, watched.lately.told)
        quality = judge_quality(model, QUALITY_DAYS, at, self._config)
        events = [*([_drifted(model, watched)] if watched.alarm else []), *([_lost(model, quality, at)] if quality.alarm else [])]
        answers = tuple(Answer(event, respond_to(event, self._config)) for event in events)
        return Evening(watched, quality, gated, answers, model.version)

    def _champion(self) -> LoadedModel:
        version = models.champion_version(self._use_case, self._config)
        if version != self._model.version:
            self._model = models.load_champion(self._use_case, self._config)
        return self._model


def _drifted(model: LoadedModel, watched: Watched) -> RespondRequest:
    outcome = watched.outcome
    share = f"{outcome.share:.0%} of the features drifted; " if outcome else ""
    found = "; ".join([*(one.sentence for one in watched.lately.surges), *(one.sentence for one in watched.lately.broken)][:3])
    return RespondRequest(
        use_case=model.use_case,
        kind="drift",
        event_id=f"drift-{model.use_case}-{watched.at:%Y-%m-%d}",
        version=model.version,
        broken=list(watched.broken),
        detail=(share + found)[:2000],
    )


def _lost(model: LoadedModel, quality: QualityResult, at: datetime) -> RespondRequest:
    return RespondRequest(
        use_case=model.use_case,
        kind="quality",
        event_id=f"quality-{model.use_case}-{at:%Y-%m-%d}",
        version=model.version,
        detail=f"{quality.verdict}; {quality.loss:.0%} less than on the holdout"[:2000],
    )
