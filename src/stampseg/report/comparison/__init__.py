"""Methods against one another: a study's figures, its claims, and the page that says which of them hold."""
