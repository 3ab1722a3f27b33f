"""Turns published models into gateway configuration. One port; Envoy's file xDS behind it on one machine, `controlplane/kubernetes` in a cluster."""
