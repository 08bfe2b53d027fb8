"""Every setting of Opora in one object, read from the environment with the prefix `OPORA_`.

A module for each area holds its settings: `places`, `learning`, `serving`, `watching`, `retraining`, `consents`.
`python -m settings` says whether the environment is understood, before anything starts.
"""

from settings.environment import PREFIX, UnknownSetting
from settings.learned import learned_with, learning_settings, recordable
from settings.places import PROJECT
from settings.whole import Settings, settings

__all__ = ["PREFIX", "PROJECT", "Settings", "UnknownSetting", "learned_with", "learning_settings", "recordable", "settings"]
