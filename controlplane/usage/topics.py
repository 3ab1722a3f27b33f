"""Makes the topics in Kafka that are missing. Who may not create topics needs them made beforehand."""

from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from controlplane.usage.ports import SourceUnavailable
from ias import logs

log = logs.get(__name__)


async def ensure_topics(client: dict[str, Any], topics: Sequence[str], partitions: int, replicas: int) -> None:
    """Make each topic that is not there, with as many replicas as there are brokers for. Raises SourceUnavailable."""
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
        answer = await admin.create_topics([NewTopic(name, partitions, min(replicas, brokers)) for name in topics])
    except (KafkaError, OSError, TimeoutError) as error:
        raise SourceUnavailable(f"Kafka: {type(error).__name__}: {error}") from error
    finally:
        await admin.close()
    for name, code, *_ in answer.topic_errors:
        failure = for_code(code)
        if code == 0:
            log.info("topic made", topic=name, partitions=partitions)
        elif failure is not TopicAlreadyExistsError:
            log.error("topic cannot be made", topic=name, reason=failure.__name__)
