"""Matching decides who is paired with whom and why, and guards pairs while they live.

Consumes: employees, programmes, participants, answers, sessions, concerns.
Publishes: pairs, match runs.
Owns: pairs and their state, match runs, the explanations of both.
"""
