"""Runs the service: `python -m services.notifications`."""

from services.notifications.app import create_app
from shared.service import run

if __name__ == "__main__":
    run(create_app)
