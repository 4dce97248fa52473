"""Images for a model of two modalities: preprocessed, encoded in threads, and centered."""
