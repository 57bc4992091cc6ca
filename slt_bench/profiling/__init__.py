"""What a step of a method costs beside a step of dense training, and what the machine could do at best."""
