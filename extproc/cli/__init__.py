"""argv in, exit code out; one file a command group.

Exit codes: 0 done or proven; 1 a finding (a failing check, a failed step); 2 incomplete or wrong input (usage,
configuration).
"""
