from tests.support.kafka import kafka, kafka_broker, topic_prefix

__all__ = ["kafka", "kafka_broker", "topic_prefix"]
