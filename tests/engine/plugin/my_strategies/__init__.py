"""Two strategies of one's own, as the README shows them."""
