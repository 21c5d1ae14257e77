"""What the four services share: the event catalogue and the backbone. Knows no service."""
