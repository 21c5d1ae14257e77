"""How Updraft is run and operated: the local stack, the demo and the `updraft` command line."""
