"""Turns published models into gateway configuration. One port; Envoy's file xDS behind it on one machine, Kubernetes later."""
