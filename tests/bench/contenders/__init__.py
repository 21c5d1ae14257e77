"""Processes that compete: each takes a task, does it once, and tells how long it took."""
