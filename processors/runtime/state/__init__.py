"""What tables hold: committed values in memory or on disk, the open epoch's changes over them, and how they come back."""
