"""What several methods share: base classes, which anybody may subclass, and functions. No file here holds a method."""
