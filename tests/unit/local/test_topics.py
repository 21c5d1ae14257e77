from deploy.local.broker import Topic, topics
from shared.catalogue import EVENT_TYPES


def test_every_event_of_the_catalogue_has_its_topic():
    assert {event.TOPIC for event in EVENT_TYPES} <= {topic.name for topic in topics()}


def test_each_service_that_reads_a_topic_has_a_dead_letter_topic_for_it():
    names = {topic.name for topic in topics()}

    assert "hr.employees.registration.dlq" in names
    assert "updraft.pairs.metrics.dlq" in names
    assert "updraft.metrics.bi.dlq" not in names


def test_topic_names_are_unique():
    names = [topic.name for topic in topics()]

    assert len(names) == len(set(names))


def test_a_compacted_topic_never_forgets_the_newest_record_of_a_key():
    topic = Topic("t", "id", (), (), 6, 90, compact=True)

    assert topic.config["cleanup.policy"] == "compact"
    assert topic.config["retention.ms"] == "-1"


def test_retention_is_told_to_the_broker_in_milliseconds():
    assert Topic("t", "id", (), (), 6, 2, compact=False).config["retention.ms"] == "172800000"
    assert Topic("t", "id", (), (), 6, None, compact=False).config["retention.ms"] == "-1"


def test_names_and_addresses_that_no_erasure_reaches_end_within_a_month():
    segment_days = 7

    for topic in topics():
        if topic.name == "hr.employees" or topic.name.endswith(".dlq"):
            assert topic.retention_days is not None
            assert topic.retention_days + segment_days <= 30, topic.name
            assert topic.config["cleanup.policy"] == "delete"
