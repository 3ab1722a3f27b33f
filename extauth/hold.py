"""What a request holds in every token limit, by mode, and what follows from what it got. Pure.

* strict: the prompt at most and the whole output. When that does not fit, a request without a cap gets one, as large as what is free allows.
* balanced: the usual prompt and the whole output; a stream only if that is at most 10 % of what is free, else the usual prompt and
  the usual output, topped up in steps as it grows.
* lenient: the usual prompt and the usual output.

Without a token limit nothing is held back and no byte of the request is changed: what is noted then is the usual.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from extauth.estimate import Estimate
from ias.context import AdmissionMode
from ratelimit.ports import MAX_TOKENS, Limit, TokenHold, Unit

SHARE_PERCENT: Final = 10
"""A stream holds its whole output at once only if that is at most so much of what is free."""
LEAST_OUTPUT: Final = 16
"""The shortest cap that is worth writing into a request."""
_TOKENS: Final = Unit.TOKENS  # looking up the member of an enum takes longer than everything else in its line
_MOST: Final = MAX_TOKENS - 1
"""The store takes no more, and no limit of anybody is as large."""


class Plan(msgspec.Struct, frozen=True):
    """What to ask the store for; `grant` says what its answer means."""

    mode: AdmissionMode
    hold: TokenHold
    prompt: int
    choices: int
    output_cap: int
    """To write when `hold.full` is held; 0: none."""
    step: int
    """To top up by when less than `hold.full` is held; 0: never."""

    def grant(self, held: int) -> "Grant":
        """What `held` tokens allow."""
        prompt = min(self.prompt, held)
        if held >= self.hold.full:
            return Grant(held, prompt, self.output_cap, 0)
        if self.step:
            return Grant(held, prompt, 0, self.step)
        return Grant(held, prompt, (held - prompt) // self.choices if self.output_cap else 0, 0)


NO_TOKENS: Final = Plan(AdmissionMode.BALANCED, TokenHold(0), 0, 1, 0, 0)
"""Of a request to a model without tokens."""


class Grant(msgspec.Struct, frozen=True):
    """Fields of the signed context (`ias.context.RequestContext`)."""

    held_tokens: int
    prompt_tokens: int
    output_cap: int
    top_up_tokens: int


def plan(mode: AdmissionMode, estimate: Estimate, limits: Sequence[Limit], stream: bool, step: int) -> Plan:
    """Plan the hold of one request; `limits` are all that it is to meet."""
    capacities = [limit.capacity for limit in limits if limit.unit is _TOKENS and not limit.dry_run]
    if not capacities:
        return _usual(mode, estimate, None)
    if mode is AdmissionMode.STRICT:
        return _whole(mode, estimate, estimate.prompt_at_most, min(estimate.total_at_most, _MOST))
    if mode is AdmissionMode.LENIENT:
        return _usual(mode, estimate, min(capacities))
    full = min(estimate.prompt_usual + estimate.choices * estimate.output_at_most, _MOST)
    if not stream:
        return _whole(mode, estimate, estimate.prompt_usual, full)
    reduced = _fitting(estimate, min(capacities))
    if reduced >= full:
        return _whole(mode, estimate, estimate.prompt_usual, full)
    hold = TokenHold(full, SHARE_PERCENT, reduced)
    return Plan(mode, hold, estimate.prompt_usual, estimate.choices, 0 if estimate.capped else estimate.output_at_most, step)


def _whole(mode: AdmissionMode, estimate: Estimate, prompt: int, full: int) -> Plan:
    """All of it; of a request without a cap also less, because a cap can be written that keeps it there."""
    if estimate.capped or estimate.output_at_most == 0:
        return Plan(mode, TokenHold(full), prompt, estimate.choices, 0, 0)
    least = prompt + estimate.choices * min(LEAST_OUTPUT, estimate.output_at_most)
    return Plan(mode, TokenHold(full, at_least=least if least < full else 0), prompt, estimate.choices, estimate.output_at_most, 0)


def _usual(mode: AdmissionMode, estimate: Estimate, capacity: int | None) -> Plan:
    return Plan(mode, TokenHold(_fitting(estimate, capacity)), estimate.prompt_usual, estimate.choices, 0, 0)


def _fitting(estimate: Estimate, capacity: int | None) -> int:
    """The usual amount. A limit smaller than that must not refuse every request for ever, only those whose prompt alone is larger."""
    usual = min(estimate.prompt_usual + estimate.choices * estimate.output_usual, _MOST)
    if capacity is None or usual <= capacity:
        return usual
    return max(capacity, min(estimate.prompt_usual + min(1, estimate.output_usual) * estimate.choices, _MOST))
