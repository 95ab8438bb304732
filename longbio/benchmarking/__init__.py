"""Models, tasks and seeds in one run: which of them are better, how sure that is, and what it costs."""
