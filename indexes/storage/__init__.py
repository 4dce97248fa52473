"""Files that are complete or absent, the writer's lock, and memory in use."""
