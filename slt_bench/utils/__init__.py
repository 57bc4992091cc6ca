"""Errors, files, text and machines: what every room may use."""
