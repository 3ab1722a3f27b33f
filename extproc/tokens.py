"""What a request used, and how sure that is."""

from typing import Final

from msgspec import Struct

from ias.usage_event import UsageSource


class Tokens(Struct, frozen=True):
    """`cached_input` and `reasoning` are parts of `input` and `output`, not addends."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0
    source: UsageSource = UsageSource.ESTIMATED

    @property
    def total(self) -> int:
        """What is charged."""
        return self.input + self.output


NO_TOKENS: Final = Tokens(source=UsageSource.COUNTED)
"""Of a model without tokens: that there were none is certain."""
