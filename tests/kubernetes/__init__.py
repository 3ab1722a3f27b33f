"""Against a real Kubernetes API server, and a real Envoy Gateway that reads from it (`make test-kubernetes`)."""
