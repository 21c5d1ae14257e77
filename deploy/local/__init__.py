"""The embedded stack: Postgres, a Kafka-protocol broker, mail, an issuer and the four services.

Everything runs on 127.0.0.1 from Python wheels, as root or not, without Docker or Java.
"""
