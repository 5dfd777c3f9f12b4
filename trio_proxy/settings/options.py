"""What the service is asked to do: by the command line, the environment and the settings file together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.text.addresses import Address

from .timeouts import Timeouts

if TYPE_CHECKING:
    from .config_file import ConfigFile
    from .tables import RuleTable

__all__ = ["CAPTURE_AND_UPSTREAM", "Options", "choose"]

CAPTURE_AND_UPSTREAM = "is for the built-in server; with an upstream server there is none"
_LISTEN = (Address("127.0.0.1", 2525),)
_CAPTURE = Path("captured-mail")


@attrs.frozen(kw_only=True)
class Options:
    """All there is to say about a service; seconds and octets."""

    listen: tuple[Address, ...] = _LISTEN
    upstream: Address | None = None
    """None: the built-in server keeps the messages in ``capture``."""
    capture: Path = _CAPTURE
    transcript: bool = False
    bare_newline: str = "normalize"
    nul: str = "pass"
    max_message_size: int | None = None
    max_connections: int = 1000
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    grace: float = 30.0
    verbosity: int = 0
    """-1 quiet, 0, 1 ``-v``, 2 ``-vv``."""
    rules: tuple[str, ...] = ()
    """Files and ``ready:NAME``, in their order."""
    rule_settings: Mapping[str, RuleTable] = attrs.field(factory=dict[str, "RuleTable"])
    """The ``[rules.NAME]`` tables of the settings file, unread."""
    rule_timeout: float = 30.0
    on_rule_error: OnError = "defer"
    quarantine: Path = Path("quarantine")
    max_held: int | None = None
    """None: the core's own limit."""
    spool: Path | None = None
    """Where messages go that are larger than ``max_held``; None: they are refused."""
    reload: bool = False
    config: Path | None = None
    """The settings file that was read."""
    given: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    """What the command line and the environment say, by parameter."""
    named: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False)
    """The parameters that have been given, there or in the settings file."""

    def reread(self) -> Options:
        """The same with the settings file as it is now; what was given otherwise wins as before.

        Raises `RuleError` if the file cannot be used. Reads a file, so it blocks.
        """
        if self.config is None:
            return self
        from .config_file import load_config

        try:
            return choose(self.given, load_config(self.config))
        except ValueError as error:
            raise RuleError([Problem(str(self.config), 0, str(error))]) from error


def choose(given: Mapping[str, Any], config: ConfigFile | None) -> Options:
    """What was ``given`` on the command line or in the environment, else what the file says, else defaults.

    Keys are the parameters of the command line. Raises ValueError if what was given contradicts itself; what
    the file says has been checked.
    """
    file = config.values if config else {}
    values = {**file, **given}
    if values.get("upstream") is not None and given.get("capture") is not None:
        raise ValueError(f"--capture {CAPTURE_AND_UPSTREAM}.")
    quiet = values.pop("quiet", False)
    verbosity = values.pop("verbose", 0)
    if quiet and not ("verbose" in given and "quiet" not in given):
        verbosity = -1
    if "spool" in values:
        values["spool"] = Path(values["spool"]) if values["spool"] else None
    # One phase at a time: what the file says of the others stays.
    values["timeouts"] = Timeouts.parse((*file.get("timeouts", ()), *given.get("timeouts", ())))
    values["config"] = config.path if config else None
    return Options(
        **values,
        verbosity=verbosity,
        rule_settings=config.rule_settings if config else {},
        given=given,
        named=frozenset((*file, *given)),
    )
