"""What is rendered, as it is read: the desired state out of PostgreSQL or a JSON file, the installation's profile out of YAML."""

from pathlib import Path

import msgspec
import yaml

from controlplane import database
from controlplane.gateway.ports import GatewayState
from controlplane.kubernetes.profile import GatewayProfile, ProfileInvalid, read_profile
from controlplane.publishing.repository import PublicationRepository
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work


class StateInvalid(ValueError):
    """A file holds no state; the message says where it is wrong."""


async def read_desired_state(database_url: str) -> GatewayState:
    """Return what the gateway should serve, in one query."""
    engine = database.create_engine(database_url, pool_size=1)
    try:
        async with unit_of_work(engine) as uow:
            return await PublicationRepository(uow, EVERYTHING).desired_state()
    finally:
        await engine.dispose()


def read_state_file(path: Path) -> GatewayState:
    """Return the state that a JSON file describes, with the fields of `gateway/ports.py`; raises StateInvalid."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=GatewayState)
    except msgspec.MsgspecError as error:
        raise StateInvalid(f"{path} holds no gateway state: {error}") from error


def read_profile_file(path: Path) -> GatewayProfile:
    """Return the profile that a YAML file describes; raises ProfileInvalid, or OSError."""
    try:
        return read_profile(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as error:
        raise ProfileInvalid(f"{path} is not YAML: {error}") from error
