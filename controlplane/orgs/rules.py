"""Rules of orgs. Pure."""

import re
import unicodedata

SLUG = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label: the slug is the tenant's name in the publishing API and may become part of a hostname."""


def is_slug(text: str) -> bool:
    """Whether a text can be a slug at all."""
    return re.fullmatch(SLUG.strip("^$"), text) is not None


def slug_of(name: str) -> str | None:
    """Derive a slug from a name; None when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].rstrip("-") or None
