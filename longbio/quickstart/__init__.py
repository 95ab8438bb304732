"""The whole path in one go: head, convert, verify, heal, learn entities, compare, report."""
