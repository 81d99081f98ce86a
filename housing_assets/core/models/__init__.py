"""What is fitted: the price trees with their anchor, and the growth models."""
