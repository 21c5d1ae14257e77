"""`updraft replay`: rebuilds a service's projections from its topics, without side effects."""
