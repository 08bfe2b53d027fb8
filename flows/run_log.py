"""Where a function says how it goes, inside a flow run or without one."""

import logging

from prefect import get_run_logger
from prefect.context import FlowRunContext, TaskRunContext


def in_run() -> bool:
    """Whether a flow run is under way, which logs and artifacts belong to."""
    return bool(FlowRunContext.get() or TaskRunContext.get())


def run_logger() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """The log of the run; outside of one the process's own."""
    return get_run_logger() if in_run() else logging.getLogger("opora.flows")
