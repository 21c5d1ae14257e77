-- Read with every batch: which lines wait behind a parked record.
CREATE INDEX parked_holding ON parked (consumer, topic, key) WHERE holds;
