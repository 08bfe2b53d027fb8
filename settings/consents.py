"""How the consent service knows its callers, what it keeps and how long, and how private the releases are."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr


class Consents(BaseModel):
    """Credentials, evidence, deadlines and the privacy budget."""

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
