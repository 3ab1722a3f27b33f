"""Publishing: which models the gateway serves, for whom and how much."""
