"""What is kept for how long, and what two people may do to a transcript: shred it, or open its sealed original."""
