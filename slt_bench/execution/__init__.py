"""Running jobs: the worker that runs one, and the runners that bring jobs to workers."""
