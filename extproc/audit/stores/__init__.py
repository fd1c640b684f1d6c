"""Where sealed segments are kept for good: a directory, or S3 with Object Lock; and what a store really enforces."""
