"""Every SQL statement of registration, one module per kind of thing stored."""
