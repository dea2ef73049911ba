"""Image files and the arrays they hold."""
