"""What is counted of the tracks of one camera."""
