"""Dialogues in which the proxy logs in to a server by itself."""

from __future__ import annotations

from typing import Any

from core.scene import Scene
from sansio_smtp.config import Config, LoginMode
from sansio_smtp.testing.verdicts import said, verdict_for

__all__ = ["OFFER", "PLAIN", "log_in", "logged_in", "scene"]

OFFER = ("250-mx", "250 AUTH PLAIN LOGIN")
PLAIN = "AUTH PLAIN AGFubgBzZWNyZXQ="
"""Of the client: ann, secret."""


def scene(mode: str, *ask: str, **more: Any) -> Scene:
    """After the first EHLO."""
    return Scene(*ask, config=Config(login_mode=LoginMode(mode), **more)).introduced(*OFFER)


def log_in(scene: Scene, text: str = "PLAIN | x") -> list[str]:
    """Answers the question how to log in."""
    return scene.answer(verdict_for(scene.question, said(f"login {text}")))


def logged_in(mode: str, *ask: str, **more: Any) -> Scene:
    """After the login, and after MAIL in INJECT, whose reply has not come yet."""
    one = scene(mode, *ask, **more)
    one.client("MAIL FROM:<a@me>" if mode == "inject" else PLAIN)
    log_in(one)
    one.server("235 ok")
    return one
