"""`python -m services.metrics` serves metrics."""

from services.metrics.app import create_app
from shared.service import run

if __name__ == "__main__":
    run(create_app)
