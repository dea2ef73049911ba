"""Broken, odd and hostile inputs, made anew for every test, each with what must come of it."""
