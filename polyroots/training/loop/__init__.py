"""What happens while a network trains: devices, epochs, evaluation, signals."""
