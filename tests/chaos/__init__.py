"""Chaos: a steady load through the whole flow while processes are killed, then an audit.

`python -m tests.chaos --seed 7 --minutes 10 --kafka apache --nodes 3`; `make chaos` runs it.
"""
