"""What the page looks like. Every part is told what to call; none knows a rule."""
