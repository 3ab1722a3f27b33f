"""An OpenAI-compatible engine that speaks vLLM's surface without a model: its counters are the truth that metering is checked against."""
