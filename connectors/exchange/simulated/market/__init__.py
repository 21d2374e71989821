"""The generated markets: order books, who trades in them, and the seeded process that says what they want."""
