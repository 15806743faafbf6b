"""The operator: binds queued ImageJobs to describer Jobs that are already warm.

handlers (thin, kopf) → state (what is) → decide (pure: what to do) → writer (the only one that
writes)
"""
