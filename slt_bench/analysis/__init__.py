"""DataFrames of records, and the numbers drawn from them. Nothing here needs torch, data or the methods' files."""
