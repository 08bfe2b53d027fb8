"""How the HTTP services answer."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class Serving(BaseModel):
    """Who may call, how much of it, and what the scoring services go by."""

    host: str = Field("127.0.0.1", description="Address every service binds to.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further names under which the services may be addressed, beside loopback and `host`."
    )
    cors_origins: tuple[str, ...] = Field((), description="Web pages that may call the services from a browser; empty = none.")
    api_keys: tuple[SecretStr, ...] = Field(
        (),
        description="Keys accepted in X-API-Key by the scoring services, for every scope, or hashes of some made with "
        "edge.keys new --only-print; empty = loopback only, no key asked.",
    )
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
    body_limit: int = Field(1 << 20, ge=1, description="Largest request body in bytes.")
    batch_body_limit: int = Field(32 << 20, ge=1, description="Largest body of a batch endpoint in bytes.")
    batch_items: int = Field(10_000, ge=1, description="Most payments in one score_batch request.")
    body_grace_seconds: float = Field(
        10.0, gt=0, description="How long a request may take to arrive; a large body gets a second more for every 16 KiB."
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
