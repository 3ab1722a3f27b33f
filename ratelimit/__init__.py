"""Rate limits: exact token buckets, all limits of a request in one call to the store; and Envoy's Rate Limit Service on them."""
