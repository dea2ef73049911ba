"""Valid files, damaged at random: what opens them gives a valid result or an error of ours."""
