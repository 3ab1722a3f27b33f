"""API keys: made once-shown, listed, revoked."""
