"""`ias gateway …`, in a process of its own: `ias up` does not carry what it loads, a Kubernetes client and the whole control plane."""

from standalone.gateway_cluster import apply_command, diff_command
from standalone.gateway_commands import gateway

gateway.command("diff")(diff_command)
gateway.command("apply")(apply_command)

if __name__ == "__main__":
    gateway(prog_name="ias gateway")
