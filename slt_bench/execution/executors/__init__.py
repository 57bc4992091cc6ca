"""Where jobs run: this process, this machine, or a SLURM cluster."""
