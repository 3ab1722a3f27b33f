"""The command line of the control plane: a client of its REST interface and of nothing else."""
