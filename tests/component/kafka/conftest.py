from tests.support.kafka import kafka, kafka_broker, topic_prefix
from tests.support.valkey import valkey, valkey_server

__all__ = ["kafka", "kafka_broker", "topic_prefix", "valkey", "valkey_server"]
