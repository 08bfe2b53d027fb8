"""Which scope of a key each address of the scoring services asks for; one that is not listed keeps its service from starting."""

from collections.abc import Mapping

from edge.scopes import ADMIN, CLIENTS, DATA, SCORE, WATCH

ROUTE_SCOPES: Mapping[str, str | None] = {
    "/api/v1/score_transaction": SCORE,
    "/api/v1/score_batch": SCORE,
    "/api/v1/explain_transaction": SCORE,
    "/api/predictions": SCORE,
    "/api/simulate": SCORE,
    "/upload_features": SCORE,
    "/check_task": SCORE,
    "/check_state": SCORE,
    "/get_result": SCORE,
    "/prescore": SCORE,
    "/recommendations/{client_code}": SCORE,
    "/api/clients": CLIENTS,
    "/api/clients/{id}/card": CLIENTS,
    "/api/clients/{id}/offers": CLIENTS,
    "/push-notifications": CLIENTS,
    "/export/csv": CLIENTS,
    "/api/labels": DATA,
    "/api/imports/income-csv": DATA,
    "/api/imports/{id}": DATA,
    "/upload/clients": DATA,
    "/upload/transactions": DATA,
    "/upload/transfers": DATA,
    "/metrics": WATCH,
    "/stats": WATCH,
    "/api/monitoring/model-health": WATCH,
    "/process": ADMIN,
    "/api/admin/import/start": ADMIN,
    "/api/admin/import/{id}": ADMIN,
    "/api/admin/seed/start": ADMIN,
    "/model": None,
}
"""Path template → scope; None = any key."""
