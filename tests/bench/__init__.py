"""Benchmarks of backbone and matching: `make bench`, or `python -m tests.bench --help`.

One run measures all rows on real Apache Kafka (or `--kafka embedded`) and a Postgres with fsync.
Each contender runs in a process of its own, and the rounds are interleaved (A B C A B C …), since
a machine is never equally busy for long. The table shows the median of the rounds, the lowest and
the highest; a ratio is that of the medians, its spread that of the rounds. Timings are told, never
asserted: the exit code is 0 unless something broke.

- **relay** (`relay.py`): events per second from a full outbox to the broker.
- **consumer** (`consumer.py`): HR records per second through registration's full path.
- **growth** (`growth.py`): cost per event with 10 and 100 times the rows in the tables.
- **flow** (`flow.py`): all four services, from `hr.employees` to `updraft.metrics`.
- **matching** (`matching.py`): the best pairs of up to 1,000 × 1,000 people, ours and others'.
- **scale** (`matching_scale.py`): 50,000 × 50,000 people, and pairing again; only if named.
"""
