"""`python -m services.matching`."""

from services.matching.app import create_app
from shared.service import run

if __name__ == "__main__":
    run(create_app)
