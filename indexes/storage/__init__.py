"""Files that are complete or absent, and the writer's lock."""
