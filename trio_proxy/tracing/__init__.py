"""OpenTelemetry spans (`--otel`) for the times of sessions, messages and rules."""
