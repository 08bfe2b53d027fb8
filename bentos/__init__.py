"""The four scoring services, each a FastAPI application inside a BentoML service."""

from bentos.serving.metric_files import share_figures

share_figures()  # first of all: prometheus_client takes the folder when a module makes its figures
