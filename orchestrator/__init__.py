"""Bascule: tiered, fenced and timed failover of other companies' infrastructure."""
