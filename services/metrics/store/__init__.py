"""Every SQL statement of metrics: facts in, facts out, measures."""
