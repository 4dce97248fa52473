"""ELMo in its authors' format: a character CNN and two bidirectional LSTM layers."""
