"""Authorization: who may call which model, how often; the answer to Envoy's ext_authz."""
