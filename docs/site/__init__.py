"""What the site of the docs needs beyond its pages."""
