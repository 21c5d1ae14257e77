"""The demo: a believable company, or a real HR file, lives six months of a programme."""
