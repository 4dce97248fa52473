"""Index engines on servers: what is kept here of their indexes, and the protocol of a server."""
