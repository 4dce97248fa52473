"""Human-readable output of comparisons, hits and collections."""
