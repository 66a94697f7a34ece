"""The commands and what they make: runs, reports, comparisons, the demonstration."""
