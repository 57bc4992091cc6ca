"""What is to run, what it needs and costs, and in which arrays."""
