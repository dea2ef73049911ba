"""Masks against masks, and pictures of both."""
