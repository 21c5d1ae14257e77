"""HTTP in: runs and what they find, what a manager wants of two people, and explanations."""

from services.matching.api import comparison, explanations, pair_locks, runs

routers = (comparison.router, runs.router, pair_locks.router, explanations.router)
