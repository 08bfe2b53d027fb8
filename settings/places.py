"""Where things live."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator

PROJECT = Path(__file__).resolve().parents[1]


class Places(BaseModel):
    """Folders, databases and addresses; the defaults are all on one machine."""

    var: Path = Field(PROJECT / "var", description="The only folder that running writes to.")
    catalogues: Path = Field(PROJECT / "catalogues", description="TOML files that business people edit.")
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
    prefect_api_url: str = Field(
        "http://127.0.0.1:4200/api", description="Prefect server that the income service starts imports with."
    )
    prefect_auth_string: SecretStr | None = Field(
        None, description="user:password of that Prefect server, where it asks for one (its PREFECT_SERVER_API_AUTH_STRING)."
    )

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
