"""The frozen network: architectures, random weights, and a function of one flat vector."""
