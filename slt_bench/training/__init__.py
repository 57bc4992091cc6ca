"""The loop that trains a method's parameters."""
