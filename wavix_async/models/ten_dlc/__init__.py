"""10DLC: brands, campaigns, and what belongs to them. The modules of this package define the models."""
