"""Bounded load on the whole stack: a very large company, and very many broken records."""
