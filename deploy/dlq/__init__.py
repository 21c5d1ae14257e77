"""`updraft dlq`: records that could not be applied, and what a person can do about them."""

from deploy.dlq.command import app

__all__ = ["app"]
