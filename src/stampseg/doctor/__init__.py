"""What `stampseg check` finds in a data set, case by case and between cases."""
