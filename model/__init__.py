"""Networks, training, prediction and scoring on patch stores."""
