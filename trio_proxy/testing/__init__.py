"""A running proxy in a test."""

from .running import Captured, RunningProxy, StartProxy

__all__ = ["Captured", "RunningProxy", "StartProxy"]
