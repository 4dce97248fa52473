"""Tables that cog writes into the pages, by subject."""
