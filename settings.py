"""Every setting of Opora in one object, read from the environment with the prefix `OPORA_`.

`python -m settings` says whether the environment is understood, before anything starts.
"""

import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PROJECT = Path(__file__).resolve().parent

_PREFIX = "OPORA_"
_READ_ELSEWHERE = frozenset(
    f"{_PREFIX}{name}"
    for name in (
        "CLOCK_FILE",  # clock.py
        "REAL_DATA",  # bench and tests, as all that follow: where data lie, and how often a promise is tried
        "TEST_POSTGRES_URL",
        "TEST_WINDOWS",
        "CALLS",
        "CONSENT_WALKS",
        "HISTORIES",
        "KILLS",
        "PARITY_CLIENTS",
        "QUIET_REPORTS",
        "RACES",
        "RELEASE_KILLS",
        "SCHEMA_CASES",
    )
)


class UnknownSetting(Exception):
    """The environment names a setting that does not exist; it was meant to have an effect, and would have none."""


class Settings(BaseSettings):
    """Where things live and the limits they keep; the defaults run everything on one machine.

    Each field can be set as `OPORA_<NAME>`; lists and mappings are written as JSON.

    Raises:
        UnknownSetting: a variable with the prefix is not among them.
        ValidationError, SettingsError: a value is not allowed. Neither repeats it, for it may be a secret.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    var: Path = Field(PROJECT / "var", description="The only folder that running writes to.")
    catalogues: Path = Field(PROJECT / "catalogues", description="TOML files that business people edit.")
    host: str = Field("127.0.0.1", description="Address every service binds to.")
    seed: int = Field(20260101, ge=0, le=2**31 - 1, description="Seed of the simulator, the splits and the searches.")

    lake_uri: str = Field(
        "",
        description="Folder of the Delta tables; empty = `var/lake`. An object store (s3://…) is refused: ingestion writes in "
        "place, and DuckDB reads one only with an extension that it downloads (docs/decisions/021-lake-in-a-folder.md).",
    )
    database_url: str = Field(
        "",
        description="SQLAlchemy URL of the PostgreSQL with journal, online features and ledger; empty = SQLite files.",
    )
    consent_database_url: str = Field(
        "", description="SQLAlchemy URL of the PostgreSQL with consents, releases and audit log; empty = as `database_url`."
    )
    mlflow_tracking_uri: str = Field("", description="MLflow tracking and registry; empty = `var/mlflow.db`.")
    public_mlflow_url: str = Field("http://127.0.0.1:5000", description="Where people open the MLflow UI (links in artifacts).")
    public_evidently_url: str = Field(
        "http://127.0.0.1:8010", description="Where people open the drift reports (links in artifacts)."
    )

    quarantine_limit: float = Field(
        0.05, ge=0, le=1, description="Largest share of bad rows with which a file is still ingested."
    )
    exchange_rates: dict[str, float] = Field(
        {"KZT": 1.0, "USD": 520.0, "EUR": 600.0, "RUB": 6.5}, description="Tenge per unit of each accepted currency."
    )
    segment_borders: tuple[float, float, float] = Field(
        (250_000.0, 500_000.0, 1_000_000.0),
        description="Monthly income in tenge at which the segments middle, high and premium begin.",
    )

    api_keys: tuple[SecretStr, ...] = Field(
        (),
        description="Keys accepted in X-API-Key by the scoring services, for every scope, or hashes of some made with "
        "edge.keys new --only-print; empty = loopback only, no key asked.",
    )
    body_limit: int = Field(1 << 20, ge=1, description="Largest request body in bytes.")
    api_keys_file: Path | None = Field(
        None,
        description="Hashes of further keys, watched while serving (python -m edge.keys); empty = `var/secrets/api_keys`.",
    )
    rate_limit_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests a second of one key (without keys: of one address; consent service: of one caller) to one worker; "
        "empty = unlimited.",
    )
    rate_limit_burst: int = Field(200, ge=1, description="Requests that may come at once before the rate limit is felt.")
    batch_body_limit: int = Field(32 << 20, ge=1, description="Largest body of a batch endpoint in bytes.")
    batch_items: int = Field(10_000, ge=1, description="Most payments in one score_batch request.")
    body_grace_seconds: float = Field(
        10.0, gt=0, description="How long a request may take to arrive; a large body gets a second more for every 16 KiB."
    )
    cors_origins: tuple[str, ...] = Field((), description="Web pages that may call the services from a browser; empty = none.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further names under which the services may be addressed, beside loopback and `host`."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level of log lines; INFO has a line for every request."
    )
    champion_poll_seconds: float = Field(2.0, gt=0, description="How often a service asks which version is champion.")
    serving_workers: int = Field(1, ge=1, le=64, description="Processes of each scoring service; each holds the model in memory.")
    shadow_share: float = Field(
        0.1, ge=0, le=1, description="Share of live requests that the challenger scores as well, unseen by the caller."
    )
    shadow_queue: int = Field(
        1000, ge=1, description="Most rows that wait for the challenger in a process; what comes on top is dropped and counted."
    )
    risk_threshold_medium: float | None = Field(
        None, ge=0, le=1, description="Overrides the fraud threshold stored with the model version."
    )
    risk_threshold_high: float | None = Field(
        None, ge=0, le=1, description="Overrides the fraud threshold stored with the model version."
    )

    prescoring_retention_days: float = Field(
        30.0,
        gt=0,
        description="How long a computed form and its result are kept for /get_result, in days; then they are deleted.",
    )
    prescoring_lease_seconds: float = Field(
        30.0,
        gt=0,
        description="How long a worker may take over a form before another one takes it, because the first must have died.",
    )
    upload_limit: int = Field(256 << 20, ge=1, description="Largest uploaded file in bytes; it is written to disk as it arrives.")
    upload_retention_days: float = Field(7.0, gt=0, description="How long an uploaded file lies in `var/uploads`, in days.")
    prefect_api_url: str = Field(
        "http://127.0.0.1:4200/api", description="Prefect server that the income service starts imports with."
    )
    prefect_auth_string: SecretStr | None = Field(
        None, description="user:password of that Prefect server, where it asks for one (its PREFECT_SERVER_API_AUTH_STRING)."
    )

    missed_fraud_cost: float = Field(
        60.0, gt=0, description="What a fraudulent payment that passes costs, in the unit of question_cost."
    )
    question_cost: float = Field(1.0, gt=0, description="What asking a client about a payment costs.")
    review_capacity: float = Field(0.004, gt=0, le=1, description="Share of payments that analysts can block and review.")

    drift_rows: int = Field(10_000, ge=100, description="Most rows of each side in a drift report; of more, a sample.")
    drift_fewest_rows: int = Field(100, ge=20, description="Fewest journalled scores that a drift report is made from.")
    drift_distance: float = Field(
        0.1, gt=0, le=1, description="Distance, and change of the share of missing values, from which a column has drifted."
    )
    drift_surge: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Growth of the share of one range of values within days from which a drift event is emitted: one payment "
        "in a hundred may be all the fraud there is.",
    )
    drift_share: float = Field(
        0.3, gt=0, le=1, description="Share of drifted features from which a drift event is emitted for a use case."
    )
    label_maturity_days: dict[str, float] = Field(
        {"fraud": 30.0, "prescoring": 120.0, "income": 30.0, "recommendation": 30.0},
        description="Days after a score by which its label has come, by use case; younger scores are no evidence of quality.",
    )
    training_days: dict[str, float] = Field(
        {},
        description="How far back the labelled rows reach that a use case is trained on, in days before the newest one; what is "
        "not named learns from all. A world that changes is learned sooner without what was long ago.",
    )
    quality_loss: float = Field(
        0.1, gt=0, le=1, description="Relative loss of the metric against the holdout from which a quality event is emitted."
    )
    retrainings_per_week: int = Field(
        2, ge=0, description="Most retrainings of a use case that events may start within seven days; 0 = people retrain."
    )
    retraining_cooldown_hours: float = Field(
        24.0, ge=0, description="Time after an event's retraining in which no other event starts one for the use case, in hours."
    )
    retraining_trials: int = Field(12, ge=1, le=1000, description="Most configurations that such a retraining tries.")
    retraining_seconds: float = Field(60.0, ge=1, le=86_400, description="Longest search of such a retraining, in seconds.")
    response_lease_seconds: float = Field(
        120.0, gt=0, description="After this time without a sign of life the answer to an event counts as died, in seconds."
    )
    approval: Literal["automatic", "person"] = Field(
        "automatic", description="Whether events start retrainings by themselves, or a person is asked in the Prefect UI first."
    )
    approval_hours: float = Field(24.0, gt=0, description="How long the person's answer is waited for; then it counts as no.")
    shadow_hours: float = Field(
        2.0, ge=0, description="Longest time that a challenger of the loop scores in shadow before the gate judges it; 0 = none."
    )
    shadow_rows: int = Field(500, ge=1, description="Rows in shadow after which it is judged at once.")
    alert_webhook: SecretStr | None = Field(
        None, description="Address that alerts are posted to as JSON; https, or http on loopback; empty = no alerts."
    )
    report_days: int = Field(
        366, ge=30, description="Days after which drift reports are deleted, so that the dashboards stay quick."
    )
    stale_features_days: float = Field(
        7.0, gt=0, description="Age of the online features from which a drift report says that they are stale, in days."
    )

    key_pepper: SecretStr | None = Field(
        None, description="Secret mixed into the hashes of the consent service's API keys; empty = generated in `var/secrets`."
    )
    token_issuer: str = Field(
        "", description="Claim iss of the clients' tokens; empty = the development issuer, on loopback only (consent_api.issuer)."
    )
    token_audience: str = Field("", description="Claim aud that the issuer's tokens have for the consent service.")
    token_jwks: str = Field(
        "", description="The issuer's public keys (JWK set): a file, or an https address that is asked again."
    )
    token_types: tuple[str, ...] = Field(
        ("at+jwt",), description="Header typ of the issuer's tokens; some issuers write JWT, which their ID tokens have as well."
    )
    token_lifetime_seconds: float = Field(300.0, gt=0, le=3600, description="How long a token may live at most, in seconds.")
    stranger_rate_per_second: float = Field(
        10.0, gt=0, description="Requests a second that the consent service refuses one address for want of a valid credential."
    )
    receipt_keys: Path | None = Field(
        None,
        description="File with the keys that sign consent receipts (python -m consent_api.receipts rotate); empty = "
        "`var/secrets/receipt_keys`.",
    )
    audit_anchors: Path | None = Field(
        None,
        description="File that notes where the audit chain ended, best on another volume; empty = `var/anchors/consent`.",
    )
    audit_anchor_seconds: float = Field(60.0, gt=0, description="How often the consent service notes the end of the audit chain.")
    withdrawal_log: Path | None = Field(
        None, description="File of all withdrawals, outside the database's backups; empty = `var/withdrawals/consent`."
    )
    intermediate_retention_days: int = Field(
        30, ge=8, description="Within how many days rows that were needed on the way only are deleted from the consent database."
    )
    erasure_working_days: int = Field(10, ge=1, description="Within how many working days a client's erasure is carried out.")
    evidence_retention_years: int = Field(
        3, ge=1, description="How long ended consents are kept as evidence, and the evidence of deletions after them."
    )
    cohort_threshold: int = Field(50, ge=2, description="Fewest clients (before the noise margin) in a published cell.")
    release_rho: float = Field(0.125, gt=0, description="zCDP cost of one partner's report of one month, per client.")
    yearly_client_rho: float = Field(
        1.5, gt=0, description="zCDP a client may be charged in a calendar year, all partners together."
    )
    yearly_partner_rho: float = Field(
        1.5,
        gt=0,
        description="zCDP that the reports of one partner may cost in a calendar year; what would exceed it is refused.",
    )

    @model_validator(mode="before")
    @classmethod
    def nothing_is_misspelt(cls, values: Any) -> Any:
        """Refuse a variable that would silently be without effect."""
        known = {*_READ_ELSEWHERE, *(_PREFIX + field.upper() for field in cls.model_fields)}
        unknown = sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and name.upper() not in known)
        if unknown:
            nearest = ((name, *difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)) for name in unknown)
            told = "; ".join(f"{name} is no setting, the nearest is {other}" for name, other in nearest)
            raise UnknownSetting(f"{told}: correct or unset it (settings.py has them all)")
        return values

    @field_validator("lake_uri")
    @classmethod
    def lies_in_a_file_system(cls, lake_uri: str) -> str:
        """Refuse at the start what would fail at the first file."""
        if "://" in lake_uri:
            raise ValueError("the lake lies in a folder, not in an object store: name the path of one, such as /mnt/lake")
        return lake_uri

    @property
    def lake_root(self) -> str:
        """Folder under which the Delta tables lie."""
        return self.lake_uri or str(self.var / "lake")

    @property
    def mlflow_uri(self) -> str:
        """Tracking URI that is really used."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.var / 'mlflow.db'}"

    def database(self, name: str) -> str:
        """URL of the database `name` ("journal", "consent", "online", "registry"): the configured PostgreSQL or a SQLite file."""
        configured = (name == "consent" and self.consent_database_url) or self.database_url
        return configured or f"sqlite:///{self.var / name}.db"


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


_LEARNED_BY = {
    "exchange_rates",
    "training_days",
    "segment_borders",
    "missed_fraud_cost",
    "question_cost",
    "review_capacity",
}
"""What makes another model of the same tables and seed."""
_recorded: ContextVar[Settings | None] = ContextVar("recorded", default=None)


def learning_settings() -> Settings:
    """What features and training go by: the settings of this process, or those of a version that is made again."""
    return _recorded.get() or settings()


def recordable() -> dict[str, Any]:
    """Of these what a version records in order to be made again, as JSON has it."""
    return learning_settings().model_dump(mode="json", include=_LEARNED_BY)


@contextmanager
def learned_with(recorded: Mapping[str, Any]) -> Iterator[None]:
    """Within it, what a version `recorded` holds in `learning_settings`; what it did not record is as the process has it."""
    token = _recorded.set(Settings(**settings().model_dump() | dict(recorded)))
    try:
        yield
    finally:
        _recorded.reset(token)


def main() -> int:
    """Say in one line each what is wrong with the environment; returns the exit status."""
    try:
        settings()
    except ValidationError as error:
        for one in error.errors():
            print(f"{_PREFIX}{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}", file=sys.stderr)
        return 1
    except SettingsError as error:
        print(f"{error}: lists and mappings are written as JSON", file=sys.stderr)
        return 1
    except UnknownSetting as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
