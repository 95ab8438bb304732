"""Words a tokenizer breaks to pieces, and what to do about them."""
