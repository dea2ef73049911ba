"""Studies: data sets x methods x numbers of labels x draws of people, each cell a run on other people."""
