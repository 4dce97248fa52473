"""Files that are one document each: plain text, Markdown, HTML, PDF, Word, images."""
