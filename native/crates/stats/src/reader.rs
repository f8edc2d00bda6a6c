//! Reads a stats file back, published by whom ever: the oracle of the format.
