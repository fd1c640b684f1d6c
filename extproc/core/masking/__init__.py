"""Finds card data and replaces it, in whole texts and in streams, with the same result for every way of cutting."""
