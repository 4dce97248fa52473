"""What cog writes into the pages, by subject."""
