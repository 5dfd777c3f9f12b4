"""What the core promises (P1 to P12, docs/explanation/design.md), each a property with a test of its name."""
