"""What is seen of the plant: samples, facts, health, gaps, events."""
