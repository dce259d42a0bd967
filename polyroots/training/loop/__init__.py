"""The training loop: devices, epochs, evaluation, signals."""
