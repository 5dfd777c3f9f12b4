"""QUIT where the server's connection may be kept."""

from __future__ import annotations

from core.scene import Scene
from sansio_smtp.config import Config


def test_quit_becomes_a_reset() -> None:
    assert Scene(config=Config(keep=True)).greeted().client("QUIT") == ["S: RSET"]


def test_quit_stays_quit_after_a_verb_that_nobody_knows() -> None:
    made = Scene(config=Config(keep=True)).greeted()
    made.client("XFOO")
    made.server("250 ok")
    assert made.client("QUIT") == ["S: QUIT"]
