"""MaskNet: click-through-rate ranking with instance-guided masks."""

__version__ = "0.1.0"
