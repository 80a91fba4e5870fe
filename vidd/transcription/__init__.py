"""Speech to text: recognisers behind one contract, and the captions that are made of their words."""
