"""What a person is told when the loop decides something: one alert a step, in Russian and English."""

from prefect.runtime import flow_run

from flows.run_log import in_run
from monitoring.alerts import Alert, send
from monitoring.decisions import Event
from monitoring.loop_log import LoopLog
from settings import Settings

_TEXTS = {
    "retrain": ("начато переобучение на свежих данных", "a retraining on fresh data begins"),
    "ask": ("решить должен человек: откройте запуск в Prefect", "a person has to decide: open the run in Prefect"),
    "wait": ("переобучения пока не будет", "no retraining for now"),
    "mend": ("похоже, сломан источник данных: его нужно починить", "the source of the data seems to be broken: mend it"),
    "refused": ("человек не разрешил переобучение", "no person has approved the retraining"),
    "failed": ("переобучение не удалось", "the retraining failed"),
    "trained": ("новая версия обучена и оценивает запросы в тени", "the new version is trained and scores in shadow"),
    "promoted": ("новая версия вступила в силу", "the new version is champion"),
    "rejected": ("новая версия отклонена, прежняя остаётся", "the new version is refused, the champion stays"),
}
_KINDS = {"drift": ("дрейф", "drift"), "quality": ("потеря качества", "loss of quality")}


def tell(log: LoopLog, config: Settings, event: Event, decision: str, reason: str, detail: str = "", report: str = "") -> None:
    """Send the alert of one step; a webhook that is away changes nothing.

    Args:
        decision: one of the words of this module's texts.
        reason: of the step, in English; no person's words.
        detail, report: what was found, and the address of its report.
    """
    kind_ru, kind_en = _KINDS[event.kind]
    russian, english = _TEXTS[decision]
    found = f" {detail}." if detail else ""
    send(
        Alert(
            title=f"{event.use_case}: {kind_en}: {decision}",
            text_ru=f"Модель {event.use_case}, версия {event.version}: {kind_ru} — {russian}.{found}",
            text_en=f"Model {event.use_case}, version {event.version}: {kind_en}: {english}: {reason}.{found}",
            use_case=event.use_case,
            kind=event.kind,
            decision=decision,
            links=_links(event.use_case, report, config),
        ),
        log.engine,
        config,
    )


def _links(use_case: str, report: str, config: Settings) -> dict[str, str]:
    run = str(flow_run.ui_url or "") if in_run() else ""
    links = {"report": report, "run": run, "model": f"{config.public_mlflow_url}/#/models/{use_case}"}
    return {title: address for title, address in links.items() if address}
