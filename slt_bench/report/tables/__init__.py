"""Tables of a report, a file a kind. Each takes DataFrames and gives a `Table`."""
