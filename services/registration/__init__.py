"""Registration, the front door: what HR platforms and people tell us.

Consumes `hr.employees` and `updraft.pairs`. Publishes employees, contacts, programmes,
participants, answers, sessions, feedback and concerns. Owns the directory of people, programmes
and participations, and every private word: comments, goals, concerns.
"""
