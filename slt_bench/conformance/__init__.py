"""Conformance: what every method must do, tried on any plug-in in under a minute."""
