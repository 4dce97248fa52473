"""Images for a model of two modalities: preprocessed in threads ahead of it, and centered."""
