"""One file a task: how its records are encoded, decoded and scored."""
