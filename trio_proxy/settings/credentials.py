"""Finds the file of a secret from the service manager: ``$CREDENTIALS_DIRECTORY/NAME``.

With ``LoadCredential=NAME:FILE`` in a unit, systemd puts the file into a directory that only the service can
read, and names the directory in a variable. No other variable is replaced in settings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["file_named"]

_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
_PREFIX: Final = f"${_VARIABLE}/"


def file_named(text: str, environment: Mapping[str, str] | None = None) -> Path:
    """The path that a setting names. If the path is a credential and there are none, raises ValueError, whose
    text is for the user."""
    if not text.startswith(_PREFIX):
        return Path(text)
    directory = (os.environ if environment is None else environment).get(_VARIABLE, "")
    if not directory:
        raise ValueError(f"{_VARIABLE} is not set; LoadCredential= in the unit of the service sets it")
    return Path(directory, text.removeprefix(_PREFIX))
