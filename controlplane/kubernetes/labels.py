"""Labels and annotations of everything that we write into a cluster. Garbage is found by them, so they never change their meaning."""

MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
GATEWAY = "ias.dev/gateway"
"""The name of the gateway that a resource belongs to: two installations in one cluster do not see each other's."""
MODEL = "ias.dev/model"
"""An annotation: the model's name as it is published. Label values could not hold it."""
SERVICE = "ias.dev/service"
"""An annotation of the Backend of a service of ours, which the gateway's policies refer to: its name."""

OURS = "ias"


def labels_of(gateway: str) -> dict[str, str]:
    """Return the labels of every resource of a gateway."""
    return {MANAGED_BY: OURS, PART_OF: OURS, GATEWAY: gateway}


def selector_of(gateway: str) -> str:
    """Return the label selector that finds what `labels_of` marks."""
    return ",".join(f"{name}={value}" for name, value in labels_of(gateway).items())
