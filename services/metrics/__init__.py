"""Tells the organisation what its programmes achieve, as a replayable stream of KPIs.

Consumes employees, programmes, participants, answers, sessions, feedback, pairs, match runs and
notifications; publishes `updraft.metrics`; owns a projection of those facts, without any name or
address, and the measures that were published last.
"""
