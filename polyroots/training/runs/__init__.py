"""What is on disk of a run: its directory, its state, its tracked spectra, and what reads them."""
