"""The audit log: written before anything leaves, proven by whoever holds the public keys, read by whom it concerns.

What is stored is in README.md, questions in SQL are in QUERIES.md.
"""
