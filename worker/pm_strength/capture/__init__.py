"""Capture: the strands of a closed trade become events. Data in, data out."""
