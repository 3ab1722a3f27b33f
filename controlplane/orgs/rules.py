"""Rules of orgs. Pure."""

import re
import unicodedata
from typing import Literal

SLUG = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label: the slug is the tenant's name in the publishing API and may become part of a hostname."""


def is_slug(text: str) -> bool:
    """Whether a text can be a slug at all."""
    return re.fullmatch(SLUG.strip("^$"), text) is not None


def slug_of(name: str) -> str | None:
    """Derive a slug from a name; None when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].rstrip("-") or None


NewOrgApproval = Literal["automatic", "manual"]
"""Whether a new org approves all models by itself, or its admins decide of each."""

Step = Literal["suspend", "resume", "delete", "restore"]
_STEPS: dict[tuple[Step, str], str] = {
    ("suspend", "active"): "suspended",
    ("suspend", "suspended"): "suspended",
    ("resume", "suspended"): "active",
    ("resume", "active"): "active",
    ("delete", "active"): "deleting",
    ("delete", "suspended"): "deleting",
    ("delete", "deleting"): "deleting",
    ("restore", "deleting"): "active",
    ("restore", "active"): "active",
}
WAYS_OUT = {"active": "it goes on as it is.", "suspended": "resume it.", "deleting": "restore it first.", "deleted": "it is gone."}
"""What to do in a state in which a step is not allowed."""


def after(step: Step, status: str) -> str | None:
    """Return the state after a step, the same one when it was taken before; None: this state does not allow it."""
    return _STEPS.get((step, status))
