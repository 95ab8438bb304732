"""How tokens look at each other. Imports torch and nothing else.

Tensor suffixes, here and in `encoders`: B rows of the batch, H heads, T tokens, D features of a
head, Q queries and K keys of one tile, G global tokens, E gathered keys, N blocks of tokens.
"""
