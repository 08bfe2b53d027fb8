"""`python -m settings`: whether the environment is understood."""

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from settings import PREFIX, UnknownSetting, settings


def main() -> int:
    """Say in one line each what is wrong with the environment; returns the exit status."""
    try:
        settings()
    except ValidationError as error:
        for one in error.errors():
            print(f"{PREFIX}{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}", file=sys.stderr)
        return 1
    except SettingsError as error:
        print(f"{error}: lists and mappings are written as JSON", file=sys.stderr)
        return 1
    except UnknownSetting as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
