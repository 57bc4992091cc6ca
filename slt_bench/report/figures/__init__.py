"""Figures of a report, a file a kind. Each takes DataFrames of one network and gives a matplotlib figure."""
