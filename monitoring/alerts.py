"""Alerts to a webhook: what the loop has found and done, told to a person in Russian and English."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address

import httpx
import orjson
from sqlalchemy import Engine, insert, select, update

from clock import now
from monitoring.loop_tables import ALERTS, reading, writing
from settings import Settings

_PAUSES = (0.0, 0.5, 2.0)
"""Seconds before each try."""
_TIMEOUT = 10.0
_MOST_AT_ONCE = 50
"""Undelivered alerts that are sent with a new one: a webhook that was away for long is not flooded."""

logger = logging.getLogger("opora.loop")


@dataclass(frozen=True)
class Alert:
    """What is posted, as JSON; figures and names of columns only, never anything about a client.

    Attributes:
        text_ru: what was decided, in Russian; `text_en` says why as well, in the language of reports and ledger.
        kind: drift or quality.
        decision: what was decided, in one word.
        links: title → address of a page to look at.
    """

    title: str
    text_ru: str
    text_en: str
    use_case: str
    kind: str
    decision: str
    links: Mapping[str, str] = field(default_factory=dict)


class UnsafeWebhook(Exception):
    """The address would carry alerts in the clear over a network: write https://…, or name an address on loopback."""


def send(alert: Alert, engine: Engine, config: Settings) -> bool:
    """Post an alert and those before it that were not delivered; tells whether all have been, and never raises for the webhook.

    What is not delivered stays in the table `loop_alerts` and goes with the next. Without `OPORA_ALERT_WEBHOOK` nothing is kept.
    """
    address = config.alert_webhook.get_secret_value() if config.alert_webhook else ""
    if not address:
        return True
    with writing(engine) as connection:
        connection.execute(insert(ALERTS).values(at=now(), body=orjson.dumps(asdict(alert)).decode()))
    try:
        url = checked(address)
    except UnsafeWebhook as error:
        logger.error("no alert was sent: OPORA_ALERT_WEBHOOK: %s", error)
        return False
    return _post_waiting(url, engine)


def checked(address: str) -> httpx.URL:
    """The webhook's address.

    Raises:
        UnsafeWebhook: it is neither https nor on loopback, or no address at all; the message does not repeat it.
    """
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise UnsafeWebhook("it is no address: write https://…") from None
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and _loopback(url.host))):
        raise UnsafeWebhook("it has to begin with https:// (http:// on loopback only)")
    return url


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _post_waiting(url: httpx.URL, engine: Engine) -> bool:
    with reading(engine) as connection:
        waiting = select(ALERTS.c.sequence, ALERTS.c.body).where(ALERTS.c.delivered_at.is_(None)).order_by(ALERTS.c.sequence)
        alerts = connection.execute(waiting.limit(_MOST_AT_ONCE)).all()
    with _unlogged(url), httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
        for sequence, body in alerts:
            if not _posted(client, url, body):
                return False
            with writing(engine) as connection:
                connection.execute(update(ALERTS).where(ALERTS.c.sequence == sequence).values(delivered_at=now()))
    return True


@contextmanager
def _unlogged(url: httpx.URL) -> Iterator[None]:
    """Keep the address out of the log lines that httpx writes of its requests."""
    written = logging.getLogger("httpx")

    def elsewhere(record: logging.LogRecord) -> bool:
        return str(url) not in record.getMessage()

    written.addFilter(elsewhere)
    try:
        yield
    finally:
        written.removeFilter(elsewhere)


def _posted(client: httpx.Client, url: httpx.URL, body: str) -> bool:
    """Whether the webhook took it; the log names what happened and never the address, which may hold a secret."""
    trouble = ""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            answer = client.post(url, content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            trouble = type(error).__name__
            continue
        if answer.is_success:
            return True
        trouble = f"status {answer.status_code}"
    logger.warning("an alert was not delivered (%s) and waits for the next one", trouble)
    return False
