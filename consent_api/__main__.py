"""Serve the consent service on port 8000: `python -m consent_api`."""

import uvicorn

from settings import settings

if __name__ == "__main__":
    uvicorn.run("consent_api.app:app", host=settings().host, port=8000, access_log=False)
