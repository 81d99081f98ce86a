"""The platform's assets: from a raw housing panel to monthly price predictions."""
