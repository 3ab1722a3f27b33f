"""Publications as Kubernetes resources: Gateway API, Envoy Gateway, Envoy AI Gateway."""
