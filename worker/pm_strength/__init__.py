"""PM Strength: learns position-size multipliers from closed trades."""
