"""What to run: benchmarks, jobs, grids, paper claims."""
