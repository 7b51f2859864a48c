"""What it means: client rows, spans and journal joined, and the figures drawn from them."""
