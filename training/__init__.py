"""Training: data sets, synthesis, loss, loop, evaluation; one configuration a published result."""
