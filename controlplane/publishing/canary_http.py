"""The canary over HTTP: it comes to the gateway from outside, as clients do."""

import asyncio
import ssl
from dataclasses import dataclass

import httpx2

from controlplane.publishing.canary import TAG, Probe, Seen, meaning, meaning_without_key, probes, read_error
from controlplane.publishing.ports import CanaryFailed, Flight
from ias import headers

_AGAIN_S = 0.02
_MAX_MESSAGE = 200


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    code: str
    message: str

    def __str__(self) -> str:
        said = f" ({self.code}: {self.message[:_MAX_MESSAGE]})" if self.code or self.message else ""
        return f"{self.status}{said}"


class HttpCanary:
    """Asks the gateway at `url`. All requests of a flight together have `seconds`."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url.rstrip("/")
        self._seconds = seconds

    async def fly(self, flight: Flight) -> str | None:
        answers = ["nothing was asked yet"]
        verify = ssl.create_default_context() if self._url.startswith("https://") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx2.AsyncClient(base_url=self._url, timeout=self._seconds, verify=verify, trust_env=False, follow_redirects=False) as client:
            try:
                async with asyncio.timeout(self._seconds):
                    if flight.require_api_key:
                        await self._without_key(client, flight, answers)
                    refusals = []
                    for probe in probes(flight.kind, flight.model):
                        while True:
                            answer = await self._ask(client, flight, probe, flight.api_key)
                            answers.append(f"{probe.name} with the key: {answer}")
                            if (seen := meaning(answer.status, answer.code)) is not Seen.NOT_YET:
                                break
                            await asyncio.sleep(_AGAIN_S)
                        if seen is Seen.REACHED:
                            return None
                        if seen is Seen.LIMITED:
                            return f"The canary was limited ({answer}): that the engine answers is not proven."
                        refusals.append(answers[-1])
                        if seen is Seen.FAILED:
                            break
                    raise CanaryFailed("; ".join(refusals))
            except TimeoutError:
                raise CanaryFailed(f"no good answer within {self._seconds:g} s; the last was {answers[-1]}") from None

    async def _without_key(self, client: httpx2.AsyncClient, flight: Flight, answers: list[str]) -> None:
        probe = probes(flight.kind, flight.model)[0]
        while True:
            answer = await self._ask(client, flight, probe, None)
            answers.append(f"{probe.name} without a key: {answer}")
            if (seen := meaning_without_key(answer.status, answer.code)) is not Seen.NOT_YET:
                break
            await asyncio.sleep(_AGAIN_S)
        if seen is not Seen.REACHED:
            raise CanaryFailed(f"a request without a key got {answer} and not 401")

    async def _ask(self, client: httpx2.AsyncClient, flight: Flight, probe: Probe, api_key: str | None) -> _Answer:
        sent = {headers.TAGS: TAG, "user-agent": "ias-canary"}
        if api_key is not None:
            sent["authorization"] = f"Bearer {api_key}"
        if flight.hostname is not None:
            sent["host"] = flight.hostname
        try:
            answer = await client.request("GET" if probe.body is None else "POST", probe.path, json=probe.body, headers=sent)
        except httpx2.TimeoutException:
            raise TimeoutError from None
        except httpx2.HTTPError as error:
            raise CanaryFailed(f"the gateway cannot be asked at {self._url}: {str(error) or type(error).__name__}") from error
        return _Answer(answer.status_code, *read_error(answer.content))
