"""Real Apache Kafka on this machine, without Docker: Maven brings it, Java runs it."""
