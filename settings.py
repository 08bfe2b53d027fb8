"""Every setting of Opora in one object, read from the environment with the prefix `OPORA_`."""

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent


class Settings(BaseSettings):
    """Where things live and the limits they keep; the defaults run everything on one machine.

    Each field can be set as `OPORA_<NAME>`; lists and mappings are written as JSON.
    """

    model_config = SettingsConfigDict(env_prefix="OPORA_", frozen=True, extra="forbid")

    var: Path = Field(PROJECT / "var", description="The only folder that running writes to.")
    catalogues: Path = Field(PROJECT / "catalogues", description="TOML files that business people edit.")
    host: str = Field("127.0.0.1", description="Address every service binds to.")
    seed: int = Field(20260101, ge=0, description="Seed of the simulator, the splits and the searches.")

    lake_uri: str = Field("", description="Root of the Delta tables; empty = `var/lake`.")
    database_url: str = Field(
        "", description="SQLAlchemy URL of the PostgreSQL that holds journal, consents and online features; empty = SQLite files."
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
        (), description="Keys accepted in X-API-Key by the scoring services; empty = loopback only, no key asked."
    )
    body_limit: int = Field(1 << 20, ge=1, description="Largest request body in bytes.")
    champion_poll_seconds: float = Field(2.0, gt=0, description="How often a service asks which version is champion.")
    risk_threshold_medium: float | None = Field(
        None, ge=0, le=1, description="Overrides the fraud threshold stored with the model version."
    )
    risk_threshold_high: float | None = Field(
        None, ge=0, le=1, description="Overrides the fraud threshold stored with the model version."
    )

    drift_rows: int = Field(2000, ge=100, description="Most rows of each side in a drift report; of more, a sample.")
    drift_fewest_rows: int = Field(100, ge=20, description="Fewest journalled scores that a drift report is made from.")
    drift_distance: float = Field(
        0.1, gt=0, le=1, description="Distance, and change of the share of missing values, from which a column has drifted."
    )
    drift_share: float = Field(
        0.3, gt=0, le=1, description="Share of drifted features from which a drift event is emitted for a use case."
    )

    key_pepper: SecretStr | None = Field(
        None, description="Secret mixed into the hashes of the consent service's API keys; empty = generated in `var/secrets`."
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

    @property
    def lake_root(self) -> str:
        """Folder or object-store URI under which the Delta tables lie."""
        return self.lake_uri or str(self.var / "lake")

    @property
    def mlflow_uri(self) -> str:
        """Tracking URI that is really used."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.var / 'mlflow.db'}"

    def database(self, name: str) -> str:
        """URL of the database called `name` ("journal", "consent", "online"): the configured PostgreSQL or a SQLite file."""
        return self.database_url or f"sqlite:///{self.var / name}.db"


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
