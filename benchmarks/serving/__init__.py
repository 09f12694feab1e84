"""What the measurements of scoring have in common: a served dataset, callers, and apps to compare with."""
