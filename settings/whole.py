"""The one object, and that of this process."""

import os
from functools import cache
from typing import Any

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from settings.consents import Consents
from settings.environment import PREFIX, refuse_unknown
from settings.learning import Learning
from settings.places import Places
from settings.retraining import Retraining
from settings.serving import Serving
from settings.watching import Watching


class Settings(Consents, Retraining, Watching, Serving, Learning, Places, BaseSettings):
    """Where things live and the limits they keep; the defaults run everything on one machine.

    Each field can be set as `OPORA_<NAME>`; lists and mappings are written as JSON.

    Raises:
        UnknownSetting: a variable with the prefix is not among them.
        ValidationError, SettingsError: a value is not allowed. Neither repeats it, for it may be a secret.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def nothing_is_misspelt(cls, values: Any) -> Any:
        """Refuse a variable that would silently be without effect."""
        refuse_unknown(os.environ, cls.model_fields)
        return values


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
