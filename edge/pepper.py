"""The secret mixed into the hashes of API keys: configured, or generated once in `var/secrets`."""

import secrets

from edge.secret_files import made_once
from settings import Settings

_SHORTEST = 32
_SECRET_BYTES = 32


class ConfigurationError(Exception):
    """The settings contradict each other or would open the service to strangers; the message says what to set."""


def pepper(config: Settings) -> bytes:
    """The configured pepper, or the one generated once in `var/secrets`, readable by its owner only.

    Raises:
        ConfigurationError: the configured one is too short to keep a secret.
    """
    if config.key_pepper is None:
        return made_once(config.var / "secrets" / "key_pepper", lambda: secrets.token_hex(_SECRET_BYTES).encode())
    value = config.key_pepper.get_secret_value()
    if len(value) < _SHORTEST:
        raise ConfigurationError(f"OPORA_KEY_PEPPER needs at least {_SHORTEST} characters: openssl rand -hex 32")
    return value.encode()
