"""Tells people: every mail that the programme owes someone, once, at a time that suits them.

Consumes employees, contacts, programmes, participants, pairs, sessions, feedback, match runs and
metrics. Publishes NotificationSent, NotificationFailed and NotificationSuppressed. Owns the only
copy of contacts outside the HR directory, the messages owed, and what people unsubscribed from.
"""
