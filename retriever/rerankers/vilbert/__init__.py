"""ViLBERT: a query and the regions of an image, read together."""
