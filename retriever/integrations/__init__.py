"""A collection in other frameworks: each module needs an extra, and is imported only when asked."""
