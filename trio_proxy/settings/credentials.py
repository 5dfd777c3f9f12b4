"""Finds the file of a secret from the service manager: ``$CREDENTIALS_DIRECTORY/NAME``.

With ``LoadCredential=NAME:FILE`` in a unit, systemd puts the file into a directory that only the service can
read, and names the directory in a variable. No other variable is replaced in settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["file_named", "missing_credential"]

_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
_PREFIX: Final = f"${_VARIABLE}/"
_NOT_SET: Final = f"{_VARIABLE} is not set"
_MISSING: Final = re.compile(rf"no credential (\S+): {_NOT_SET}")


def missing_credential(problem: str) -> str | None:
    """The name of the credential, if a problem says that this process has no credentials at all; else
    None."""
    found = _MISSING.search(problem)
    return None if found is None else found[1]


def file_named(text: str, environment: Mapping[str, str] | None = None) -> Path:
    """The path that a setting names. If the path is a credential and there are none, raises ValueError, whose
    text is for the user."""
    if not text.startswith(_PREFIX):
        return Path(text)
    directory = (os.environ if environment is None else environment).get(_VARIABLE, "")
    if not directory:
        name = text.removeprefix(_PREFIX)
        raise ValueError(
            f"no credential {name}: {_NOT_SET}; LoadCredential= in the unit of the service sets it"
        )
    return Path(directory, text.removeprefix(_PREFIX))
