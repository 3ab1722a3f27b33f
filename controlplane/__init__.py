"""The control plane: REST over PostgreSQL, the gateway's desired state, and the usage consumer."""
