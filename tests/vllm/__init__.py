"""Metering beside a real vLLM: `make test-vllm`. Its environment is its own, and it is not part of `make test`."""
