"""What the four BentoML services have in common: a backend that opens with the worker, and readiness once there is a champion."""

from typing import ClassVar

import bentoml

from bentos.backend import Backend


class Served:
    """Base of a BentoML service over a backend: opened by hooks, because the lifespan of a mounted application does not run."""

    backend: ClassVar[Backend]

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open the databases and follow the champion."""
        self.backend.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Flush the journal."""
        self.backend.stop()

    def __is_ready__(self) -> bool:
        return self.backend.champion.ready
