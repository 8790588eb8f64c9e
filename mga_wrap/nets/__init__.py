"""Tensor maths: the mask predictor, gather and paste, the accelerated network. No graph surgery here."""
