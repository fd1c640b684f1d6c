"""Writes the log: the journal that acknowledges, the segments it becomes, and what becomes of dead writers' epochs."""
