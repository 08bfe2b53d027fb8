"""The four scoring services, each a FastAPI application inside a BentoML service."""
