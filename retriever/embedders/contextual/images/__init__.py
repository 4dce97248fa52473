"""Images for a model of two modalities: preprocessed in threads, and encoded."""
