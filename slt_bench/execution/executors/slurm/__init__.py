"""Job arrays on a SLURM cluster, through submitit."""
