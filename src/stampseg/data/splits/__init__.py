"""Who trains, validates, tests or teaches without labels; no person is on two sides."""
