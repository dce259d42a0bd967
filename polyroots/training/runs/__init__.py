"""Run directories: configuration, state, logs, tracked spectra, and loading them."""
