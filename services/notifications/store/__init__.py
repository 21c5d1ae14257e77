"""Every SQL statement of this service: projections, situations, messages, and what mails say."""
