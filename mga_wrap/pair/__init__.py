"""Two networks -> a pair: a small one for the whole image, the user's whole network for windows of it."""
