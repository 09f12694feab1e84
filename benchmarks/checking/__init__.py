"""What `benchmarks.validation` compares: the rows, the contenders, and the app's own way over blob storage."""
