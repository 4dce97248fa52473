"""The same corpus, model and queries through Retriever and six peers, side by side."""
