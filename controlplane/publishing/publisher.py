"""What publishing needs beside its access."""

from dataclasses import dataclass, field

from controlplane.backends.credentials import CredentialFolder
from controlplane.egress.ports import Egress
from controlplane.gateway.bootstrap import Metering
from controlplane.keys.rules import KeyRules
from controlplane.publishing.ports import Canary, NoCanary
from controlplane.publishing.reconciler import Reconciler


@dataclass(frozen=True, slots=True)
class Publisher:
    """One for the process."""

    reconciler: Reconciler
    key_rules: KeyRules
    egress: Egress
    """Envoy connects to engines, too: it is sent to none that we may not call."""
    credentials: CredentialFolder
    """What engines are shown: none is published that asks for what cannot be read."""
    gateway_url: str
    """Where clients reach the gateway."""
    metering: Metering = "inline"
    """What the gateway can do with requests."""
    canary: Canary = field(default_factory=NoCanary)
    publications_per_org: int = 100
    """Unless the org has a number of its own."""
