"""Which of several nodes serves an intersection: alone, by a fixed hash over the workers of one machine, or by
leases."""
