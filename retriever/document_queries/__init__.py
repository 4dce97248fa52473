"""What a document gives as a query (its title, a sentence, keywords), and what is then left."""
