"""Password hashing with Argon2id (RFC 9106), off the event loop. Each hash takes 64 MiB: so few run at once."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Hashes and checks passwords in its own few threads."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "argon2")
        self._nobodys = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Return the hash to store."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Check a password. Without a stored hash it takes the same time and is False: nobody learns which users exist."""
        matches = await asyncio.get_running_loop().run_in_executor(self._threads, self._matches, stored or self._nobodys, password)
        return matches and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether a right password should be hashed anew with today's parameters."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
