"""A checkpoint learns a task, and is scored on documents it hasn't seen."""
