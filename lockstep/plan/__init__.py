"""What a stack needs and costs for a load, calculated before it is deployed."""
