"""Spans of OpenTelemetry (`--otel`): what a session, its messages and its rules have taken."""
