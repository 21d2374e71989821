"""What the platform runs on."""
