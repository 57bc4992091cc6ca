"""One job, from its plain description to its record."""
