"""Ticket files: what they hold, how masks are coded, and what a ticket is worth."""
