"""`python -m services.registration` serves registration."""

from services.registration.app import create_app
from shared.service import run

if __name__ == "__main__":
    run(create_app)
