"""The worker processes: started, watched, adopted, drained."""
