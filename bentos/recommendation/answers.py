"""What the recommendation service takes and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bentos.serving.bodies import Body, ClientCode


class Recommendation(BaseModel):
    """A product for a client, and why."""

    model_config = ConfigDict(protected_namespaces=())

    product: str = Field(description="Name of the product.")
    expected_benefit: float = Field(description="What the client gains over the next 12 months by the product's tariff, tenge.")
    propensity: float = Field(description="Probability that the client accepts, 0 to 1.")
    rank: int = Field(description="1 = highest expected value (benefit × propensity).")
    reason: str = Field(description="Why, in Russian.")
    model_version: str = Field(description="Registry version that computed the propensity.")
    score_id: str = Field(description="Names the row of the journal.")


class Ingested(BaseModel):
    """What became of an uploaded file."""

    table: str = Field(description="Raw table that the rows landed in.")
    file: str = Field(description="Name under which the file was received.")
    sha256: str = Field(description="Hash of the content; the same content is ingested once.")
    version: int = Field(description="Version of the table with these rows.")
    dialect: str = Field(description="How the file was read: encoding, separator, decimal sign, dates.")
    read: int = Field(description="Data rows of the file.")
    landed: int = Field(description="Rows that landed.")
    quarantined: dict[str, int] = Field(description="Rule → rows that it turned away.")
    ignored_columns: list[str] = Field(description="Columns of the file that the table does not have.")
    already_ingested: bool = Field(description="This content had been ingested before, and nothing changed.")


class Seconds(BaseModel):
    """How long the parts of the work took, in seconds."""

    features: float = Field(description="Newest feature rows of all clients, from the lake.")
    scoring: float = Field(description="Benefits, propensities, ranking, journal and storing.")
    total: float = Field(description="All of it.")


class ProcessAnswer(BaseModel):
    """What was computed for all clients."""

    model_config = ConfigDict(protected_namespaces=())

    as_of: str = Field(description="Moment that the features describe, UTC: the midnight after the newest purchase or payment.")
    clients: int = Field(description="Clients of the bank.")
    clients_without_data: int = Field(description="Of them, those without purchases or transfers, who get no recommendations.")
    scores: int = Field(description="Pairs of client and product that the model scored; each is a row of the journal.")
    recommendations: int = Field(description="Recommendations kept, at most four a client.")
    model_version: str = Field(description="Registry version that computed the propensities.")
    seconds: Seconds


class PushRequest(Body):
    """For whom to write push texts; without a body, or with null, for every client."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"client_codes": ["12345"]}]})

    client_codes: Annotated[list[ClientCode], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="The bank's codes of the clients; null = all of them."
    )


class PushNotification(BaseModel):
    """The push text of a client."""

    model_config = ConfigDict(protected_namespaces=())

    client_code: str = Field(description="The bank's code of the client.")
    product: str = Field(description="The product it speaks of.")
    push_notification: str = Field(description="The text, Russian, 90 to 220 characters.")
    score_id: str = Field(description="Journal row of the propensity that chose the product.")
    model_version: str = Field(description="Registry version that computed it.")


class Statistics(BaseModel):
    """What the bank holds and what was recommended."""

    clients: int = Field(description="Rows of the clients table.")
    transactions: int = Field(description="Rows of the transactions table.")
    transfers: int = Field(description="Rows of the transfers table.")
    recommendations_by_product: dict[str, int] = Field(description="Product → how many clients it is recommended to.")
    mean_benefit: float | None = Field(description="Mean expected benefit of the recommendations, tenge in 12 months.")
    clients_with_recommendations: int = Field(description="Clients with at least one recommendation in force.")
    push_notifications: int = Field(description="Push texts stored for these recommendations.")
    processed_at: str | None = Field(description="When POST /process put these recommendations in force, UTC.")


class Health(BaseModel):
    """The process answers."""

    status: str = Field(description="ok", examples=["ok"])
