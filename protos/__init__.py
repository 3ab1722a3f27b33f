"""Trimmed protos, wire-compatible with Envoy's, under package names of our own (docs/decisions/0002), and our own of the registry.

gRPC needs the method path and the field numbers, never the message names. `make protos` regenerates the code beside them.
"""

CHECK = "/envoy.service.auth.v3.Authorization/Check"
GET_TENANT_MODEL = "/ias.registry.v1.ModelRegistry/GetTenantModel"
LIST_TENANT_MODELS = "/ias.registry.v1.ModelRegistry/ListTenantModels"
PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
