"""Errors, options, whole files and words that every room uses; no torch, no numpy."""
