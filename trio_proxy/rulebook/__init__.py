"""Loads and reloads rule files, and provides tasks, threads and deadlines for rules."""
