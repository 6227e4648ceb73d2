"""What the node does per second, with every protection on and every hundredth answer checked."""
